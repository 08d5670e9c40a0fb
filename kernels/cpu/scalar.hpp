// Conversions of one number. Everything here has internal linkage: the file is compiled under several instruction sets,
// and the linker must not mix their copies.
#pragma once

#include <cstdint>
#include <cstring>

namespace serveloop::kernels::cpu {

static inline float float_of_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
static inline std::uint32_t bits_of_float(float x) { return __builtin_bit_cast(std::uint32_t, x); }

static inline float bf16_to_f32(std::uint16_t x) {
  return float_of_bits(static_cast<std::uint32_t>(x) << 16);
}

// Nearest, ties to even; a NaN stays a (quiet) NaN.
static inline std::uint16_t f32_to_bf16(float x) {
  const std::uint32_t bits = bits_of_float(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// Exact. The magnitude is scaled by 2^112 in F32, which is right for subnormals too; infinity and NaN are put back.
static inline float f16_to_f32(std::uint16_t x) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(x & 0x7fffu) << 13;
  const float scaled = float_of_bits(magnitude) * float_of_bits(0x77800000u);
  const std::uint32_t special = magnitude | 0x7f800000u;
  const std::uint32_t bits = (x & 0x7c00u) == 0x7c00u ? special : bits_of_float(scaled);
  return float_of_bits(bits | (static_cast<std::uint32_t>(x & 0x8000u) << 16));
}

// Nearest, ties to even. Numbers beyond the largest become it; infinities stay, a NaN stays a (quiet) NaN. Subnormals are
// rounded by the addition of 1/2, whose last place is theirs.
static inline std::uint16_t f32_to_f16(float x) {
  const std::uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  const std::uint32_t small = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
  std::uint32_t half = magnitude < 0x38800000u ? small : normal;
  half = magnitude > 0x477fe000u ? 0x7bffu : half;
  half = magnitude >= 0x7f800000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return static_cast<std::uint16_t>(half | ((bits >> 16) & 0x8000u));
}

static inline std::uint16_t load_u16(const void* p) {
  std::uint16_t x;
  std::memcpy(&x, p, 2);
  return x;
}

}  // namespace serveloop::kernels::cpu
