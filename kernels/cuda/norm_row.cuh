// The arithmetic of a normalised row, for the kernels that make one.
// Of a row of at most 8 norm_few_threads elements, thread t owns elements 8 t to 8 t + 7; the warps' sums become one as
// those of a warp's lanes do.
#pragma once

#include "device.cuh"
#include "norm.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int norm_few_threads = 256;  // up to four vectors each
inline constexpr int norm_few_warps = norm_few_threads / 32;

__device__ __forceinline__ float add_squares(const float (&values)[8], float sum) {
#pragma unroll
  for (int i = 0; i < 8; ++i) sum = __fmaf_rn(values[i], values[i], sum);
  return sum;
}

__device__ __forceinline__ float inverse_rms(float sum, int hidden, float eps) {
  return rsqrtf(sum / static_cast<float>(hidden) + eps);
}

__device__ __forceinline__ void scale_row(float (&values)[8], float inverse, const float (&weight)[8],
                                          float weight_offset) {
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] *= inverse * (weight[i] + weight_offset);
}

}  // namespace serveloop::kernels::cuda
