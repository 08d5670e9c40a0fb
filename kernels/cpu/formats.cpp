// Packing and unpacking of weights; the layouts are described in formats.hpp.
#include "kernels/cpu/formats.hpp"

#include <cassert>
#include <cstring>

#include "kernels/cpu/scalar.hpp"

namespace serveloop::kernels::cpu {
namespace {

constexpr std::size_t kQ4_0Bytes = 18, kQ4_1Bytes = 20, kQ8_0Bytes = 34;  // of a source block

constexpr std::size_t block_bytes(Type type) {
  return type == Type::q4_0 ? kQ4_0Bytes : type == Type::q4_1 ? kQ4_1Bytes : kQ8_0Bytes;
}

// One source block into lane `lane` of a panel's group. quants: the group's, scales: the group's.
template <Type type>
void put_block(const std::uint8_t* block, int lane, std::uint8_t* quants, std::uint8_t* scales) {
  std::memcpy(scales + lane * 2, block, 2);
  if constexpr (type == Type::q4_1) std::memcpy(scales + (kPanel + lane) * 2, block + 2, 2);
  const std::uint8_t* q = block + (type == Type::q4_1 ? 4 : 2);
  constexpr int steps = type == Type::q8_0 ? 8 : 4;
  for (int j = 0; j < steps; ++j) std::memcpy(quants + (j * kPanel + lane) * 4, q + j * 4, 4);
}

// put_block()'s inverse.
void take_block(Type type, const std::uint8_t* group, int lane, std::uint8_t* block) {
  const std::uint8_t* quants = group + group_scale_bytes(type);
  std::memcpy(block, group + lane * 2, 2);
  if (type == Type::q4_1) std::memcpy(block + 2, group + (kPanel + lane) * 2, 2);
  std::uint8_t* q = block + (type == Type::q4_1 ? 4 : 2);
  const int steps = type == Type::q8_0 ? 8 : 4;
  for (int j = 0; j < steps; ++j) std::memcpy(q + j * 4, quants + (j * kPanel + lane) * 4, 4);
}

template <Type type>
void pack_quantised(const std::uint8_t* src, int n, int k, std::uint8_t* panel, int first) {
  const auto bytes = static_cast<std::size_t>(group_bytes(type));
  const auto groups = static_cast<std::size_t>(k / kGroup);
  for (int lane = 0; lane < kPanel && first + lane < n; ++lane) {
    const std::uint8_t* row = src + static_cast<std::size_t>(first + lane) * row_bytes(type, k);
    for (std::size_t g = 0; g < groups; ++g)
      put_block<type>(row + g * block_bytes(type), lane, panel + g * bytes + group_scale_bytes(type),
                      panel + g * bytes);
  }
}

// BF16: a pair of neighbours is one 32-bit store; the last of an odd K stands alone.
void pack_bf16(const std::uint8_t* src, int n, int k, std::uint8_t* panel, int first) {
  for (int lane = 0; lane < kPanel && first + lane < n; ++lane) {
    const std::uint8_t* row = src + static_cast<std::size_t>(first + lane) * row_bytes(Type::bf16, k);
    std::uint8_t* to = panel + lane * 4;
    for (int i = 0; i + 1 < k; i += 2, to += kPanel * 4)
      std::memcpy(to, row + static_cast<std::size_t>(i) * 2, 4);
    if (k % 2 != 0) std::memcpy(to, row + static_cast<std::size_t>(k - 1) * 2, 2);
  }
}

template <class Element>
void pack_plain(const std::uint8_t* src, int n, int k, std::uint8_t* panel, int first) {
  for (int lane = 0; lane < kPanel && first + lane < n; ++lane) {
    const std::uint8_t* row =
        src + static_cast<std::size_t>(first + lane) * static_cast<std::size_t>(k) * sizeof(Element);
    std::uint8_t* to = panel + static_cast<std::size_t>(lane) * sizeof(Element);
    for (int i = 0; i < k; ++i, to += kPanel * sizeof(Element))
      std::memcpy(to, row + static_cast<std::size_t>(i) * sizeof(Element), sizeof(Element));
  }
}

void dequantise_block(Type type, const std::uint8_t* block, float* dst) {
  const float d = f16_to_f32(load_u16(block));
  if (type == Type::q8_0) {
    for (int i = 0; i < kGroup; ++i) dst[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
    return;
  }
  const bool with_min = type == Type::q4_1;
  const float m = with_min ? f16_to_f32(load_u16(block + 2)) : 0.0f;
  const std::uint8_t* q = block + (with_min ? 4 : 2);
  for (int i = 0; i < kGroup; ++i) {
    const int nibble = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    dst[i] = with_min ? static_cast<float>(nibble) * d + m : static_cast<float>(nibble - 8) * d;
  }
}

}  // namespace

std::size_t row_bytes(Type type, int k) {
  const auto count = static_cast<std::size_t>(k);
  if (type == Type::f32) return count * 4;
  if (!quantised(type)) return count * 2;
  assert(k % kGroup == 0);
  return count / kGroup * block_bytes(type);
}

std::size_t panel_bytes(Type type, int k) {
  const auto count = static_cast<std::size_t>(k);
  switch (type) {
    case Type::f32: return count * 64;
    case Type::f16: return (count + 1) / 2 * 64;
    case Type::bf16: return (count + 1) / 2 * 64;
    default: return (count / kGroup * static_cast<std::size_t>(group_bytes(type)) + 63) / 64 * 64;
  }
}

void pack(Type type, const void* src, int n, int k, void* dst, int panel_begin, int panel_end) {
  assert(!quantised(type) || k % kGroup == 0);
  const std::size_t bytes = panel_bytes(type, k), source_bytes = row_bytes(type, k);
  const auto* from = static_cast<const std::uint8_t*>(src);
  for (int p = panel_begin; p < panel_end; ++p) {
    std::uint8_t* panel = static_cast<std::uint8_t*>(dst) + static_cast<std::size_t>(p) * bytes;
    const int first = p * kPanel;
    // Rows beyond N, an odd K's other half, what rounds a panel up; else every byte is written below.
    if (first + kPanel > n || bytes != kPanel * source_bytes) std::memset(panel, 0, bytes);
    switch (type) {
      case Type::q4_0: pack_quantised<Type::q4_0>(from, n, k, panel, first); break;
      case Type::q4_1: pack_quantised<Type::q4_1>(from, n, k, panel, first); break;
      case Type::q8_0: pack_quantised<Type::q8_0>(from, n, k, panel, first); break;
      case Type::bf16: pack_bf16(from, n, k, panel, first); break;
      case Type::f16: pack_plain<std::uint16_t>(from, n, k, panel, first); break;
      case Type::f32: pack_plain<float>(from, n, k, panel, first); break;
    }
  }
}

void dequantise_row(Type type, const void* row, int k, float* dst) {
  const auto* bytes = static_cast<const std::uint8_t*>(row);
  if (type == Type::f32) {
    std::memcpy(dst, row, static_cast<std::size_t>(k) * 4);
    return;
  }
  if (quantised(type)) {
    for (int i = 0; i < k; i += kGroup, bytes += block_bytes(type)) dequantise_block(type, bytes, dst + i);
    return;
  }
  for (int i = 0; i < k; ++i) {
    const std::uint16_t x = load_u16(bytes + static_cast<std::size_t>(i) * 2);
    dst[i] = type == Type::bf16 ? bf16_to_f32(x) : f16_to_f32(x);
  }
}

void unpack_row(const Packed& w, int row, float* dst) {
  const std::uint8_t* panel = w.data + static_cast<std::size_t>(row / kPanel) * panel_bytes(w.type, w.k);
  const int lane = row % kPanel;
  if (quantised(w.type)) {
    std::uint8_t block[kQ8_0Bytes];
    for (int i = 0; i < w.k; i += kGroup, panel += group_bytes(w.type)) {
      take_block(w.type, panel, lane, block);
      dequantise_block(w.type, block, dst + i);
    }
    return;
  }
  for (int i = 0; i < w.k; ++i) {
    const auto at = [&](int place) { return panel + static_cast<std::size_t>(place); };
    switch (w.type) {
      case Type::bf16: dst[i] = bf16_to_f32(load_u16(at((i / 2 * kPanel + lane) * 4 + i % 2 * 2))); break;
      case Type::f16: dst[i] = f16_to_f32(load_u16(at((i * kPanel + lane) * 2))); break;
      default: std::memcpy(dst + i, at((i * kPanel + lane) * 4), 4);
    }
  }
}

}  // namespace serveloop::kernels::cpu
