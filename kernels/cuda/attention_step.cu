// The host side of step_attention().
#include <algorithm>

#include "attention_step.cuh"
#include "launch.hpp"

namespace serveloop::kernels::cuda {
namespace {

template <int head_dim, bool both_halves, bool capped>
Status launch_step(const StepKernelJob& job, cudaStream_t stream) {
  const auto kernel = step_kernel<head_dim, both_halves, capped>;
  constexpr int bytes = StepMemory<head_dim>::bytes(both_halves ? pack_heads_limit : pack_heads_limit / 2);
  int device = 0;
  int processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess)
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return {"step_attention: launch configuration", error};
  const int most = std::max(1, job.attention.plan.max_items * job.attention.packs);
  const int clusters = std::min(processors / 2, most);
  return launch("step_attention", kernel,
                {dim3(static_cast<unsigned>(2 * clusters)), dim3(step_threads), bytes, stream, 2}, job);
}

template <int head_dim>
Status launch_step(const StepKernelJob& job, cudaStream_t stream) {
  const bool capped = job.attention.shape.soft_cap > 0.0f;
  if (job.attention.pack_heads > 8)
    return capped ? launch_step<head_dim, true, true>(job, stream)
                  : launch_step<head_dim, true, false>(job, stream);
  return capped ? launch_step<head_dim, false, true>(job, stream)
                : launch_step<head_dim, false, false>(job, stream);
}

Status check(const AttentionShape& shape, const RopeJob& rope) {
  if (shape.head_dim != 64 && shape.head_dim != 128) return {"step_attention: head_dim, expected 64 or 128"};
  if (rope.q_heads != shape.q_heads || rope.kv_heads != shape.kv_heads || rope.head_dim != shape.head_dim ||
      rope.block_tokens != shape.block_tokens)
    return {"step_attention: shape and rope, expected equal heads, head_dim and block_tokens"};
  if (reinterpret_cast<std::uintptr_t>(rope.qkv) % 16 != 0)
    return {"step_attention: qkv, expected a multiple of 16 bytes"};
  return {};
}

}  // namespace

Status step_attention(const StepAttentionJob& step, cudaStream_t stream) {
  const RopeJob& rope = step.rope;
  StepKernelJob job;
  job.rope = rope;
  job.early = step.early;
  const AttentionRows rows{rope.position, rope.table_row, rope.tokens};
  const AttentionCache cache{rope.k_cache, rope.v_cache, rope.block_stride, rope.block_table,
                             rope.table_stride};
  const std::int64_t stride = static_cast<std::int64_t>(rope.q_heads + 2 * rope.kv_heads) * rope.head_dim;
  if (const Status status = make_job(step.shape, rows, cache, step.plan, rope.qkv, stride, step.out,
                                     step.workspace, job.attention);
      !status.ok())
    return status;
  if (const Status status = check(step.shape, rope); !status.ok()) return status;
  if (rope.tokens == 0) return {};
  return step.shape.head_dim == 64 ? launch_step<64>(job, stream) : launch_step<128>(job, stream);
}

}  // namespace serveloop::kernels::cuda
