// The host side of decode_attention(): checks, workspace layout, choice of the kernel's instance.
#include <algorithm>

#include "attention_decode.cuh"
#include "launch.hpp"

namespace serveloop::kernels::cuda {
namespace {

template <int head_dim, int warps, bool both_halves, bool capped>
Status launch_decode(const Job& job, bool early, cudaStream_t stream) {
  const auto kernel = decode_kernel<head_dim, warps, both_halves, capped>;
  const int shared_bytes = DecodeMemory<head_dim, warps>::bytes(job.pack_heads);
  int device = 0;
  int processors = 0;
  int resident = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess)
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (error == cudaSuccess)
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, warps * 32, shared_bytes);
  if (error != cudaSuccess) return {"decode_attention: launch configuration", error};
  if (resident == 0) return {"decode_attention: shared memory, expected room for one block"};
  const int most = std::max(1, job.plan.max_items * job.packs);  // pieces of work
  return launch("decode_attention", kernel,
                {dim3(static_cast<unsigned>(std::min(processors * resident, most))), dim3(warps * 32),
                 static_cast<std::size_t>(shared_bytes), stream},
                job, early);
}

template <int head_dim>
Status launch_decode(const Job& job, bool early, cudaStream_t stream) {
  const bool capped = job.shape.soft_cap > 0.0f;
  if (job.pack_heads > 8)
    return capped ? launch_decode<head_dim, 4, true, true>(job, early, stream)
                  : launch_decode<head_dim, 4, true, false>(job, early, stream);
  if (capped) return launch_decode<head_dim, 4, false, true>(job, early, stream);
  // Few tokens have few groups, or long folds.
  if (head_dim < 256 && job.rows.tokens > 16)
    return launch_decode < head_dim, head_dim < 256 ? 2 : 4, false, false > (job, early, stream);
  return launch_decode<head_dim, 4, false, false>(job, early, stream);
}

void set_packs(Job& job) {
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  job.head_packs = (group_heads + pack_heads_limit - 1) / pack_heads_limit;
  job.pack_heads = std::min(group_heads, pack_heads_limit);
  job.packs = job.shape.kv_heads * job.head_packs;
}

// Byte offsets of the workspace's parts.
struct WorkspaceLayout {
  std::size_t counters, states, sums, end;

  WorkspaceLayout(const Job& job, int max_tokens, int max_items) {
    const auto rounded = [](std::size_t bytes) { return (bytes + 127) / 128 * 128; };
    const std::size_t rows = static_cast<std::size_t>(max_items) * job.packs * job.pack_heads;
    counters = 128;
    states = rounded(counters + sizeof(std::int32_t) * max_tokens * job.packs);
    sums = states + rounded(sizeof(float) * rows * job.shape.head_dim);
    end = sums + rounded(sizeof(float2) * rows);
  }
};

}  // namespace

std::size_t attention_workspace_bytes(const AttentionShape& shape, int max_tokens, int max_items) {
  if (!check_attention(shape).ok() || max_tokens < 0 || max_items < 0) return 0;
  Job job{};
  job.shape = shape;
  set_packs(job);
  return WorkspaceLayout(job, max_tokens, max_items).end;
}

Status clear_attention_workspace(void* workspace, std::size_t bytes, cudaStream_t stream) {
  const cudaError_t error = cudaMemsetAsync(workspace, 0, bytes, stream);
  return error == cudaSuccess ? Status{} : Status{"clear_attention_workspace", error};
}

Status make_job(const AttentionShape& shape, const AttentionRows& rows, const AttentionCache& cache,
                const AttentionPlan& plan, const __nv_bfloat16* q, std::int64_t q_stride, __nv_bfloat16* out,
                void* workspace, Job& job) {
  if (const Status status = check_attention(shape); !status.ok()) return status;
  if (rows.tokens < 0 || rows.tokens > plan.max_tokens)
    return {"decode_attention: tokens, expected 0 to the plan's max_tokens"};
  if (cache.block_stride % 8 != 0) return {"decode_attention: block_stride, expected a multiple of 8"};
  if (q_stride % 2 != 0) return {"decode_attention: q_stride, expected a multiple of 2"};
  const auto at_multiple = [](const void* pointer, std::uintptr_t bytes) {
    return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
  };
  if (!at_multiple(cache.k, 16) || !at_multiple(cache.v, 16))
    return {"decode_attention: cache, expected multiples of 16 bytes"};
  if (!at_multiple(q, 4) || !at_multiple(out, 8))
    return {"decode_attention: q and out, expected multiples of 4 and 8 bytes"};
  job = {};
  job.shape = shape;
  set_packs(job);
  job.rows = rows;
  job.cache = cache;
  job.plan = plan;
  job.q = q;
  job.q_stride = q_stride;
  job.out = out;
  while ((1 << job.block_shift) < shape.block_tokens) ++job.block_shift;
  const WorkspaceLayout layout(job, plan.max_tokens, plan.max_items);
  char* base = static_cast<char*>(workspace);
  job.ticket = reinterpret_cast<std::int32_t*>(base);
  job.counters = reinterpret_cast<std::int32_t*>(base + layout.counters);
  job.states = reinterpret_cast<float*>(base + layout.states);
  job.sums = reinterpret_cast<float2*>(base + layout.sums);
  return {};
}

Status decode_attention(const AttentionShape& shape, const AttentionRows& rows, const AttentionCache& cache,
                        const AttentionPlan& plan, const __nv_bfloat16* q, std::int64_t q_stride,
                        __nv_bfloat16* out, void* workspace, cudaStream_t stream, bool early) {
  Job job;
  if (const Status status = make_job(shape, rows, cache, plan, q, q_stride, out, workspace, job);
      !status.ok())
    return status;
  if (rows.tokens == 0) return {};
  switch (shape.head_dim) {
    case 64: return launch_decode<64>(job, early, stream);
    case 128: return launch_decode<128>(job, early, stream);
    default: return launch_decode<256>(job, early, stream);
  }
}

}  // namespace serveloop::kernels::cuda
