// What a token weighs in a draw, as an integer: sums of weights are exact, so no order of adding can change a draw,
// and host and device get the same ones. Plain C++. Thread safety: stateless.
#pragma once

#include <cmath>
#include <cstdint>

#include "random.hpp"

namespace serveloop::kernels {

inline constexpr std::uint64_t token_weight_one = std::uint64_t{1} << 40;  // of the likeliest token

// log2(e) / temperature, from what 0 differences survive.
SERVELOOP_HOST_DEVICE inline float token_scale(float temperature) {
  const float scale = 1.4426950408889634f / temperature;
  return scale < 1e30f ? scale : 1e30f;
}

// 2^40 e^((logit - most) / temperature), to about 2^-23 of itself, and 0 below 1. most: the largest logit. Each
// operation rounds once wherever it runs: products go through fmaf(), so that no compiler joins them with a sum.
SERVELOOP_HOST_DEVICE inline std::uint64_t token_weight(float logit, float most, float scale) {
  const float halvings = fmaf(most - logit, scale, 0.0f);
  if (!(halvings < 40.5f)) return 0;
  const float whole = rintf(halvings);
  const float x = whole - halvings;  // -0.5 to 0.5
  // Taylor's series of 2^x; the first term left out is below 2^-27.
  float power = 1.5252734e-5f;
  power = fmaf(power, x, 1.5403530e-4f);
  power = fmaf(power, x, 1.3333558e-3f);
  power = fmaf(power, x, 9.6181291e-3f);
  power = fmaf(power, x, 5.5504109e-2f);
  power = fmaf(power, x, 2.4022651e-1f);
  power = fmaf(power, x, 6.9314718e-1f);
  power = fmaf(power, x, 1.0f);
  return static_cast<std::uint64_t>(power * 1.099511627776e12f) >> static_cast<int>(whole);
}

// No number becomes minus infinity, plus infinity the largest number, and -0 becomes 0.
SERVELOOP_HOST_DEVICE inline float clean_logit(float logit) {
  if (!(logit == logit)) return -INFINITY;
  return logit < 3.4028234e38f ? logit + 0.0f : 3.4028234e38f;
}

// Repetition divides positive and multiplies negative logits of tokens of prompt and output (Keskar et al., CTRL,
// 2019); frequency counts, and presence asks for, tokens of the output alone.
SERVELOOP_HOST_DEVICE inline float penalised_logit(float logit, float repetition, float presence,
                                                   float frequency, int generated) {
  logit = logit > 0.0f ? logit / repetition : logit * repetition;
  logit = fmaf(-frequency, static_cast<float>(generated), logit);
  return generated > 0 ? logit - presence : logit;
}

// Unsigned numbers in the order of clean logits.
SERVELOOP_HOST_DEVICE inline std::uint32_t ordered_bits(float logit) {
#ifdef __CUDA_ARCH__
  const std::uint32_t bits = __float_as_uint(logit);
#else
  std::uint32_t bits;
  __builtin_memcpy(&bits, &logit, sizeof bits);
#endif
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace serveloop::kernels
