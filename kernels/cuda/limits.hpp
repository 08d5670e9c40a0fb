// What the device can do at most, for whoever measures kernels: a read and a copy of memory, and random data for them. Thread safety:
// stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>
#include <cstdint>

#include "status.hpp"

namespace serveloop::kernels::cuda {

// out[i]: nearly normal around 0 with that deviation, a function of seed and i (SplitMix64, Steele et al., 2014; the sum
// of four uniforms). Zeros would do for no measurement: the device is faster on them.
Status fill_random(__nv_bfloat16* out, std::size_t size, std::uint64_t seed, float deviation,
                   cudaStream_t stream);

// Reads `bytes` (a multiple of 16) from `in` (16-byte aligned) and writes nothing, by so many blocks of 512 threads.
// sink: 16 bytes of device memory, 16-byte aligned, which hold nothing of use.
Status read_memory(const void* in, std::size_t bytes, int blocks, void* sink, cudaStream_t stream);

// out = in, by 16 bytes a thread and turn; both as read_memory() has `in`, and apart.
Status copy_memory(const void* in, void* out, std::size_t bytes, int blocks, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
