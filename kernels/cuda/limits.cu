#include "hopper.cuh"
#include "launch.hpp"
#include "limits.hpp"

namespace serveloop::kernels::cuda {

namespace {

__device__ std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

__global__ void __launch_bounds__(256)
    fill_kernel(__nv_bfloat16* out, std::size_t size, std::uint64_t seed, float deviation) {
  wait_for_predecessor();
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < size; i += stride) {
    const std::uint64_t bits = mix(seed * 0x632be59bd9b4e019ull + i);
    float sum = 0.0f;
    for (int part = 0; part < 4; ++part)
      sum += static_cast<float>((bits >> (16 * part)) & 0xffff) / 65536.0f - 0.5f;
    out[i] = __float2bfloat16_rn(sum * 1.7320508f * deviation);
  }
}

// Eight loads of a thread are on their way at once.
__global__ void __launch_bounds__(512) read_kernel(const uint4* in, std::size_t size, uint4* sink) {
  wait_for_predecessor();
  constexpr int at_once = 8;
  uint4 sum = {0, 0, 0, 0};
  const auto add = [&sum](const uint4& x) { sum.x ^= x.x, sum.y ^= x.y, sum.z ^= x.z, sum.w ^= x.w; };
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  for (; i + (at_once - 1) * stride < size; i += at_once * stride) {
    uint4 loaded[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) loaded[j] = __ldcs(in + i + j * stride);
#pragma unroll
    for (int j = 0; j < at_once; ++j) add(loaded[j]);
  }
  for (; i < size; i += stride) add(in[i]);
  // A sum that random data does not have: the loads are needed, the store does not happen.
  if (sum.x == 0x12345678u && sum.y == 0x9abcdef0u && sum.z == 0x0fedcba9u) *sink = sum;
}

__global__ void __launch_bounds__(512) copy_kernel(const uint4* in, std::size_t size, uint4* out) {
  wait_for_predecessor();
  constexpr int at_once = 4;
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  for (; i + (at_once - 1) * stride < size; i += at_once * stride) {
    uint4 loaded[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) loaded[j] = __ldcs(in + i + j * stride);
#pragma unroll
    for (int j = 0; j < at_once; ++j) __stcs(out + i + j * stride, loaded[j]);
  }
  for (; i < size; i += stride) out[i] = in[i];
}

Status check_sizes(const void* in, const void* out, std::size_t bytes, int blocks) {
  if (in == nullptr || out == nullptr) return {"limits: in, out: expected device memory"};
  if (bytes % 16 != 0) return {"limits: bytes: expected a multiple of 16"};
  if (blocks < 1) return {"limits: blocks: expected at least 1"};
  return {};
}

}  // namespace

Status fill_random(__nv_bfloat16* out, std::size_t size, std::uint64_t seed, float deviation,
                   cudaStream_t stream) {
  if (size == 0) return {};
  if (out == nullptr) return {"fill_random: out: expected device memory"};
  return launch("fill_random", fill_kernel, {.grid = 1056, .block = 256, .stream = stream}, out, size, seed,
                deviation);
}

Status read_memory(const void* in, std::size_t bytes, int blocks, void* sink, cudaStream_t stream) {
  if (bytes == 0) return {};
  if (const Status status = check_sizes(in, sink, bytes, blocks); !status.ok()) return status;
  return launch("read_memory", read_kernel,
                {.grid = static_cast<unsigned>(blocks), .block = 512, .stream = stream},
                static_cast<const uint4*>(in), bytes / 16, static_cast<uint4*>(sink));
}

Status copy_memory(const void* in, void* out, std::size_t bytes, int blocks, cudaStream_t stream) {
  if (bytes == 0) return {};
  if (const Status status = check_sizes(in, out, bytes, blocks); !status.ok()) return status;
  return launch("copy_memory", copy_kernel,
                {.grid = static_cast<unsigned>(blocks), .block = 512, .stream = stream},
                static_cast<const uint4*>(in), bytes / 16, static_cast<uint4*>(out));
}

}  // namespace serveloop::kernels::cuda
