// What is no finite number becomes zero. For cached values of a sequence that went wrong: prefill_attention() multiplies
// values that a token does not see with zero, so blocks that are used again may hold none of these. Thread safety:
// stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>

#include "status.hpp"

namespace serveloop::kernels::cuda {

// data: 16-byte aligned; size: elements, a multiple of 8.
Status clear_not_finite(__nv_bfloat16* data, std::size_t size, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
