// The host side of prefill_attention(): checks, descriptions of the cache, choice of the kernel's instance.
#include <algorithm>
#include <limits>

#include "attention_plan.cuh"
#include "attention_prefill.cuh"
#include "launch.hpp"
#include "tensor_map.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int pack_heads_limit = 16;

template <int head_dim, bool capped>
Status launch_prefill(const PrefillJob& job, const CUtensorMap& k, const CUtensorMap& v, const dim3& grid,
                      cudaStream_t stream) {
  const auto kernel = prefill_kernel<head_dim, capped>;
  constexpr int bytes = PrefillLayout<head_dim>::bytes;
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return {"prefill_attention: launch configuration", error};
  return launch("prefill_attention", kernel, {grid, dim3(prefill_threads), bytes, stream}, k, v, job);
}

template <int head_dim>
Status launch_prefill(PrefillJob& job, const CUtensorMap& k, const CUtensorMap& v, cudaStream_t stream) {
  job.tile_tokens = PrefillLayout<head_dim>::rows / job.pack_heads;
  // No chunk has more than one tile that isn't full.
  const std::int64_t tiles = static_cast<std::int64_t>(job.chunks.rows) / job.tile_tokens + job.chunks.count;
  const int packs = job.shape.kv_heads * job.head_packs;
  if (tiles > std::numeric_limits<int>::max() || packs > 65535)
    return {"prefill_attention: rows and heads, expected what fits a launch"};
  // Blocks that run together share a key head, so that their keys and values stay in the L2 cache.
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(packs));
  return job.shape.soft_cap > 0.0f ? launch_prefill<head_dim, true>(job, k, v, grid, stream)
                                   : launch_prefill<head_dim, false>(job, k, v, grid, stream);
}

Status describe(const AttentionShape& shape, const AttentionCache& cache, const bf16* data,
                CUtensorMap& map) {
  const std::uint64_t head = shape.head_dim;
  const std::uint64_t block = static_cast<std::uint64_t>(shape.block_tokens) * head;
  TensorShape tensor;
  tensor.rank = 4;
  tensor.size[0] = head;
  tensor.size[1] = shape.block_tokens;
  tensor.size[2] = shape.kv_heads;
  tensor.size[3] = 1u << 31;  // more blocks than an id can name
  tensor.stride[1] = head;
  tensor.stride[2] = block;
  tensor.stride[3] = cache.block_stride;
  tensor.box[1] = unit_tokens;
  return make_tensor_map(data, tensor, map);
}

}  // namespace

Status prefill_attention(const AttentionShape& shape, const AttentionChunks& chunks,
                         const AttentionCache& cache, const __nv_bfloat16* q, std::int64_t q_stride,
                         __nv_bfloat16* out, cudaStream_t stream) {
  if (const Status status = check_attention(shape); !status.ok()) return status;
  if (chunks.count < 0 || chunks.rows < 0) return {"prefill_attention: chunks, expected counts of 0 or more"};
  if (cache.block_stride % 8 != 0) return {"prefill_attention: block_stride, expected a multiple of 8"};
  if (q_stride % 8 != 0) return {"prefill_attention: q_stride, expected a multiple of 8"};
  if (reinterpret_cast<std::uintptr_t>(q) % 16 != 0)
    return {"prefill_attention: q, expected a multiple of 16 bytes"};
  if (chunks.count == 0 || chunks.rows == 0) return {};
  CUtensorMap k, v;
  if (const Status status = describe(shape, cache, cache.k, k); !status.ok()) return status;
  if (const Status status = describe(shape, cache, cache.v, v); !status.ok()) return status;
  PrefillJob job{};
  job.shape = shape;
  job.chunks = chunks;
  job.cache = cache;
  job.q = q;
  job.q_stride = q_stride;
  job.out = out;
  const int group_heads = shape.q_heads / shape.kv_heads;
  job.head_packs = (group_heads + pack_heads_limit - 1) / pack_heads_limit;
  job.pack_heads = std::min(group_heads, pack_heads_limit);
  while ((1 << job.block_shift) < shape.block_tokens) ++job.block_shift;
  switch (shape.head_dim) {
    case 64: return launch_prefill<64>(job, k, v, stream);
    case 128: return launch_prefill<128>(job, k, v, stream);
    default: return launch_prefill<256>(job, k, v, stream);
  }
}

}  // namespace serveloop::kernels::cuda
