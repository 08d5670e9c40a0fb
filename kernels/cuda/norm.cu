// A thread owns elements [8 (thread + i threads), + 8) of its row for i = 0, 1, ..., aligned or not, so the order
// of the sum is the same whichever way elements are loaded. The row stays in registers between the two passes. Blocks
// are small, so that a successor finds room beside them.
#include <algorithm>

#include "hopper.cuh"
#include "launch.hpp"
#include "norm_row.cuh"

namespace serveloop::kernels::cuda {
namespace {

constexpr int max_threads = 1024;

struct NormJob {
  const bf16* x;
  bf16* residual;  // null: no addition; else x is what is added
  const bf16* weight;
  bf16* out;
  int hidden;
  float eps;
  float weight_offset;
  bool aligned;
};

template <int pieces>
__global__ void __launch_bounds__(max_threads) norm_kernel(const NormJob job) {
  __shared__ float scratch[32];
  let_successor_start();
  uint4 weights[pieces];
#pragma unroll
  for (int i = 0; i < pieces; ++i) {
    const int at = 8 * (threadIdx.x + i * blockDim.x);
    weights[i] = job.aligned && at < job.hidden ? *reinterpret_cast<const uint4*>(job.weight + at) : uint4{};
  }
  wait_for_predecessor();
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * job.hidden;
  float values[pieces][8];
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < pieces; ++i) {
    const int at = 8 * (threadIdx.x + i * blockDim.x);
    load_8(job.x + row, at, job.hidden, job.aligned, values[i]);
    if (job.residual != nullptr) {
      float before[8];
      load_8(job.residual + row, at, job.hidden, job.aligned, before);
#pragma unroll
      for (int j = 0; j < 8; ++j)
        values[i][j] = __bfloat162float(__float2bfloat16_rn(before[j] + values[i][j]));
      store_8(job.residual + row, at, job.hidden, job.aligned, values[i]);
    }
    sum = add_squares(values[i], sum);
  }
  const float inverse = inverse_rms(block_sum(sum, scratch), job.hidden, job.eps);
#pragma unroll
  for (int i = 0; i < pieces; ++i) {
    const int at = 8 * (threadIdx.x + i * blockDim.x);
    float weight[8];
    if (job.aligned)
      unpack(weights[i], weight);
    else
      load_8(job.weight, at, job.hidden, false, weight);
    scale_row(values[i], inverse, weight, job.weight_offset);
    store_8(job.out + row, at, job.hidden, job.aligned, values[i]);
  }
}

bool is_aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

Status launch_norm(NormJob job, int rows, cudaStream_t stream) {
  if (rows < 0) return {"rms_norm: rows, expected 0 or more"};
  if (job.hidden < 1 || job.hidden > 32768) return {"rms_norm: hidden, expected 1 to 32,768"};
  if (rows == 0) return {};
  job.aligned = job.hidden % 8 == 0 && is_aligned(job.x) && is_aligned(job.residual) &&
                is_aligned(job.weight) && is_aligned(job.out);
  const int vectors = (job.hidden + 7) / 8;
  const int threads =
      std::min(vectors > 4 * norm_few_threads ? max_threads : norm_few_threads, (vectors + 31) / 32 * 32);
  const int pieces = (vectors + threads - 1) / threads;
  const Launch how{dim3(static_cast<unsigned>(rows)), dim3(static_cast<unsigned>(threads)), 0, stream};
  switch (pieces) {
    case 1: return launch("rms_norm", norm_kernel<1>, how, job);
    case 2: return launch("rms_norm", norm_kernel<2>, how, job);
    default: return launch("rms_norm", norm_kernel<4>, how, job);
  }
}

}  // namespace

Status rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, __nv_bfloat16* out, int rows, int hidden,
                float eps, float weight_offset, cudaStream_t stream) {
  return launch_norm({x, nullptr, weight, out, hidden, eps, weight_offset, false}, rows, stream);
}

Status add_rms_norm(__nv_bfloat16* residual, const __nv_bfloat16* delta, const __nv_bfloat16* weight,
                    __nv_bfloat16* out, int rows, int hidden, float eps, float weight_offset,
                    cudaStream_t stream) {
  return launch_norm({delta, residual, weight, out, hidden, eps, weight_offset, false}, rows, stream);
}

}  // namespace serveloop::kernels::cuda
