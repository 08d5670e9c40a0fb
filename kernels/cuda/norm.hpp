// RMSNorm (Zhang and Sennrich, 2019), alone or after a residual addition. One block a row; how a row is summed
// depends on `hidden` alone. Weights are read before the launches before this one have ended. Thread safety: stateless.
#pragma once

#include <cuda_bf16.h>

#include "status.hpp"

namespace serveloop::kernels::cuda {

// out = x / rms(x) * (weight + weight_offset), rms(x) = sqrt(mean(x^2) + eps), in F32, rounded once.
// x, out: [rows, hidden], may be the same; weight: [hidden]; weight_offset: 1 for Gemma's weights, else 0.
// hidden: 1 to 32,768; any value works, a multiple of 8 with 16-byte aligned pointers is fast.
Status rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, __nv_bfloat16* out, int rows, int hidden,
                float eps, float weight_offset, cudaStream_t stream);

// residual += delta, rounded to BF16; out = rms_norm(residual). residual, delta, out: [rows, hidden]; out may be
// delta.
Status add_rms_norm(__nv_bfloat16* residual, const __nv_bfloat16* delta, const __nv_bfloat16* weight,
                    __nv_bfloat16* out, int rows, int hidden, float eps, float weight_offset,
                    cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
