// F16 (IEEE 754 binary16) and BF16 to and from F32, in integers alone, so that every compiler and device
// agrees. Widening is exact: subnormals, infinities, and NaNs with their payload. Narrowing rounds to
// nearest, ties to even; a NaN stays one. Thread safety: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace serveloop::model {

constexpr float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  if (fraction == 0) return std::bit_cast<float>(sign);
  const int shift = std::countl_zero(fraction) - 21;  // brings the highest set bit to bit 10
  fraction = fraction << shift & 0x3ffu;
  return std::bit_cast<float>(sign | static_cast<std::uint32_t>(113 - shift) << 23 | fraction << 13);
}

constexpr float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

constexpr std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

constexpr std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t size = bits & 0x7fffffffu;
  std::uint32_t half = 0x7c00u;  // infinity: also what is too large for F16
  if (size > 0x7f800000u) {
    half = 0x7e00u | (size >> 13 & 0x1ffu);
  } else if (size < 0x33000000u) {  // below 2^-25, half of the smallest subnormal
    half = 0;
  } else if (size < 0x38800000u) {  // below 2^-14: a subnormal, in units of 2^-24
    const std::uint32_t shift = 126 - (size >> 23);
    const std::uint32_t fraction = (size & 0x7fffffu) | 0x800000u;
    half = fraction >> shift;
    const std::uint32_t rest = fraction & ((1u << shift) - 1);
    const std::uint32_t middle = 1u << (shift - 1);
    if (rest > middle || (rest == middle && (half & 1u) != 0)) ++half;
  } else if (size < 0x47800000u) {  // below 2^16; what rounds up to it becomes infinity by itself
    half = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace serveloop::model
