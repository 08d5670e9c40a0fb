// How numbers lie in weight files: the six storage types, blocks of the quantised ones, and a view of one
// tensor. Thread safety: plain values.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace serveloop::model {

// Blocks run along a row; all numbers are little-endian. d and m are F16.
enum class Type : std::uint8_t {
  f32,
  f16,
  bf16,
  q8_0,  // 32 values: d, 32 x i8;                  value = d q
  q4_0,  // 32 values: d, 16 bytes of two nibbles;   value = d (q - 8)
  q4_1   // 32 values: d, m, 16 bytes;               value = d q + m
         // byte j holds value j in its low nibble and value j + 16 in its high one
};
inline constexpr std::size_t kTypes = 6;

struct TypeInfo {
  const char* name;
  std::uint32_t block_values;
  std::uint32_t block_bytes;
};
inline constexpr std::array<TypeInfo, kTypes> kTypeInfo = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q8_0", 32, 34},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
}};
constexpr const TypeInfo& info(Type type) { return kTypeInfo[static_cast<std::size_t>(type)]; }

// Bytes of a row. Requires a multiple of the type's block; cannot overflow below 2^32 values.
constexpr std::uint64_t row_bytes(Type type, std::uint64_t values) {
  assert(values % info(type).block_values == 0);
  return values / info(type).block_values * info(type).block_bytes;
}

// A view; whoever holds the bytes outlives it. Rows are packed, row after row. A vector has one row.
struct Tensor {
  Type type = Type::f32;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  const std::byte* data = nullptr;  // [rows, cols]; no tensor where null

  explicit operator bool() const { return data != nullptr; }
  std::uint64_t values() const { return std::uint64_t{rows} * cols; }
  std::uint64_t bytes() const { return rows * row_bytes(type, cols); }
  const std::byte* row(std::uint32_t i) const { return data + i * row_bytes(type, cols); }
};

}  // namespace serveloop::model
