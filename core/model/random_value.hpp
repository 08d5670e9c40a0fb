// Random weights, bit-equal on every device: a value is a function of (seed, role, layer, index) in integers,
// an exact conversion, an exact scaling by a power of two, and one rounding to BF16. A kernel or a script
// repeats it from this page; tests/golden/random_weights.py does.
//
//   stream = mix(seed, (layer + 1) 256 + role)    layer: -1 outside the layers; role: the number of a Role
//   h      = mix(stream, index)                   index = row cols + column
//   matrix, bias:  s = the four 16-bit words of h, added, - 131,070    |s| <= 131,070, near to normal
//                  value = BF16(s m 2^-e)                              |s m| < 2^24, so exact in F32
//   norm:          value = 1 + ((h >> 60) - 8) / 128                   exact in BF16
// mix is SplitMix64 (Steele et al., 2014) at a counter (base/hash.hpp). (m, e) stand for a variance of 1 / n:
// the deviation of s is 2^16 / sqrt(3), so m = floor(sqrt(floor(3 2^(2 e - 32) / n))), with the least e from
// 16 on for which m >= 64; m < 128. Thread safety: pure functions.
#pragma once

#include <cstdint>

#include "base/hash.hpp"
#include "model/numbers.hpp"

namespace serveloop::model {

struct RandomScale {
  std::uint32_t multiplier;  // m, 64 to 127
  std::uint32_t shift;       // e, at least 16
};

constexpr std::uint64_t integer_root(std::uint64_t x) {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1)
    if ((root | bit) * (root | bit) <= x) root |= bit;
  return root;
}

// Requires 1 <= n <= 2^40.
constexpr RandomScale random_scale(std::uint64_t n) {
  for (std::uint32_t e = 16;; ++e)
    if (const std::uint64_t m = integer_root((std::uint64_t{3} << (2 * e - 32)) / n); m >= 64)
      return {static_cast<std::uint32_t>(m), e};
}

constexpr std::uint64_t random_stream(std::uint64_t seed, std::int32_t layer, std::uint8_t role) {
  return mix(seed, static_cast<std::uint64_t>(layer + 1) * 256 + role);
}

constexpr std::uint16_t random_weight(std::uint64_t stream, std::uint64_t index, RandomScale scale) {
  const std::uint64_t h = mix(stream, index);
  const std::uint64_t pairs = (h & 0x0000ffff0000ffffu) + (h >> 16 & 0x0000ffff0000ffffu);
  const auto s = static_cast<std::int32_t>((pairs & 0xffffffffu) + (pairs >> 32)) - 131070;
  const float power = std::bit_cast<float>((127 - scale.shift) << 23);  // 2^-e
  return to_bf16(static_cast<float>(s * static_cast<std::int32_t>(scale.multiplier)) * power);
}

constexpr std::uint16_t random_norm(std::uint64_t stream, std::uint64_t index) {
  const auto steps = static_cast<std::int32_t>(mix(stream, index) >> 60) - 8;
  return to_bf16(static_cast<float>(128 + steps) * 0.0078125f);
}

}  // namespace serveloop::model
