#include <cstdint>

#include "launch.hpp"
#include "not_finite.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int threads = 256;
constexpr unsigned most_blocks = 1056;

// Both halves of a word at once: an exponent of ones says infinity or NaN.
__device__ std::uint32_t finite(std::uint32_t word) {
  if ((word & 0x7f80u) == 0x7f80u) word &= 0xffff0000u;
  if ((word & 0x7f800000u) == 0x7f800000u) word &= 0xffffu;
  return word;
}

__global__ void __launch_bounds__(threads) clear_kernel(uint4* data, std::size_t vectors) {
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < vectors;
       i += std::size_t{gridDim.x} * threads) {
    const uint4 in = data[i];
    const uint4 out = {finite(in.x), finite(in.y), finite(in.z), finite(in.w)};
    if (in.x != out.x || in.y != out.y || in.z != out.z || in.w != out.w) data[i] = out;
  }
}

}  // namespace

Status clear_not_finite(__nv_bfloat16* data, std::size_t size, cudaStream_t stream) {
  if (size % 8 != 0 || reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
    return {"clear_not_finite: data, expected a multiple of 16 bytes, 16-byte aligned"};
  if (size == 0) return {};
  const std::size_t blocks = (size / 8 + threads - 1) / threads;
  const Launch how{dim3(blocks < most_blocks ? static_cast<unsigned>(blocks) : most_blocks),
                   dim3(threads),
                   0,
                   stream,
                   1,
                   false};
  return launch("clear_not_finite", clear_kernel, how, reinterpret_cast<uint4*>(data), size / 8);
}

}  // namespace serveloop::kernels::cuda
