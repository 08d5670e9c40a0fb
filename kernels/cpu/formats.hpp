// Weights as the CPU kernels read them: source rows (GGUF blocks or plain floats) and panels, the layout that the
// matrix products stream. Quantised weights stay quantised. Thread safety: stateless; pack() of disjoint panels may run
// in parallel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace serveloop::kernels::cpu {

enum class Type : std::uint8_t { f32, bf16, f16, q8_0, q4_0, q4_1 };

static constexpr int kPanel = 16;  // rows of W (columns of the product) that lie interleaved
static constexpr int kGroup = 32;  // elements along K that share a scale

static constexpr bool quantised(Type type) {
  return type == Type::q8_0 || type == Type::q4_0 || type == Type::q4_1;
}
static constexpr int panels(int n) { return (n + kPanel - 1) / kPanel; }

// Bytes of one source row of k elements. Quantised types need k % 32 == 0. Source blocks of 32 elements:
//   q4_0: f16 d, 16 bytes; element i is the low nibble of byte i, element 16 + i the high one; d (q - 8)
//   q4_1: f16 d, f16 m, nibbles likewise; d q + m          q8_0: f16 d, 32 int8; d q
std::size_t row_bytes(Type type, int k);

// One panel of 16 rows; rows beyond N hold zeros, K is rounded up where stated.
//   f32   [k][16] F32
//   f16   [k][16] F16
//   bf16  [ceil(k / 2)][16][2] BF16: one 32-bit lane holds two neighbours along K of one row
//   q4_0  [k / 32] groups: [16] F16 d, then [4][16][4] bytes: byte (j, row, i) holds element 4 j + i in the low nibble,
//         16 + 4 j + i in the high one
//   q4_1  likewise, [16] F16 d and [16] F16 m before the bytes
//   q8_0  [k / 32] groups: [16] F16 d, then [8][16][4] int8: (j, row, i) is element 4 j + i
// So every vector of a product has one row of W a lane, and no sum crosses lanes.
std::size_t panel_bytes(Type type, int k);  // a multiple of 64
// Bytes of the scales, and of the quants, of one group of one panel; quantised types.
static constexpr int group_scale_bytes(Type type) { return type == Type::q4_1 ? 64 : 32; }
static constexpr int group_quant_bytes(Type type) { return type == Type::q8_0 ? 512 : 256; }
static constexpr int group_bytes(Type type) { return group_scale_bytes(type) + group_quant_bytes(type); }
static inline std::size_t packed_bytes(Type type, int n, int k) {
  return static_cast<std::size_t>(panels(n)) * panel_bytes(type, k);
}

// Packs panels [panel_begin, panel_end) of src [n, k] (contiguous source rows) to their places in dst, which holds
// packed_bytes(type, n, k), 64-byte aligned.
void pack(Type type, const void* src, int n, int k, void* dst, int panel_begin, int panel_end);

// dst[k] = one source row in F32. Exact, but for q4_1: d q + m rounded once.
void dequantise_row(Type type, const void* row, int k, float* dst);

// A packed matrix W [n, k].
struct Packed {
  Type type = Type::f32;
  int n = 0;
  int k = 0;
  const std::uint8_t* data = nullptr;
};

// dst[k] = row `row` of w in F32: what dequantise_row() makes of its source, bit for bit.
void unpack_row(const Packed& w, int row, float* dst);

// Activation rows as a product reads them.
//   f32   F32; weights are dequantised exactly, products and sums are F32
//   bf16  values rounded to BF16 (held as F32), else the same
//   int8  per row and group of 32: symmetric int8 with an F32 scale; exact integer sums a group, F32 across groups.
//         For quantised weights; k % 32 == 0
enum class Act : std::uint8_t { f32, bf16, int8 };

// Bytes of one prepared row, a multiple of 64. f32, bf16: [k] F32. int8: [k] int8, [k / 32] F32 scale,
// [k / 32] F32 scale times sum, [k / 32] int32 sum of the group's int8.
static constexpr std::size_t act_row_bytes(Act act, int k) {
  const std::size_t bytes = act == Act::int8
                                ? static_cast<std::size_t>(k) + static_cast<std::size_t>(k / kGroup) * 12
                                : static_cast<std::size_t>(k) * 4;
  return (bytes + 63) / 64 * 64;
}

}  // namespace serveloop::kernels::cpu
