// The host side of prefill_attention(): checks, descriptions of the cache, choice of the kernel's instance.
#include <algorithm>
#include <array>
#include <limits>

#include "attention_plan.cuh"
#include "attention_prefill.cuh"
#include "launch.hpp"
#include "tensor_map.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int pack_heads_limit = 16;

using Kernel = void(CUtensorMap, CUtensorMap, PrefillJob);

cudaError_t allow_memory(Kernel* kernel, int shared_bytes) {
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
}

// How many clusters of `parts` blocks are resident at once: 0 where the device has no word on it.
int count_resident(Kernel* kernel, int parts, int shared_bytes) {
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(parts), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(parts));
  config.blockDim = dim3(prefill_threads);
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.attrs = &cluster;
  config.numAttrs = 1;
  int clusters = 0;
  const bool known = allow_memory(kernel, shared_bytes) == cudaSuccess &&
                     cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess;
  return known ? clusters : 0;
}

constexpr int most_parts = 8;  // more blocks a cluster are not on every device of this kind

// Groups that a tile can see.
std::int64_t most_groups(const PrefillJob& job) {
  const auto groups = [](std::int64_t keys) {
    return (keys + attention_group_tokens - 1) / attention_group_tokens;
  };
  const int keys = job.chunks.most_keys > 0 ? job.chunks.most_keys : std::numeric_limits<int>::max();
  const std::int64_t seen = std::int64_t{job.shape.window} + job.tile_tokens - 1;  // from anywhere on
  return job.shape.window > 0 ? std::min(groups(keys), groups(seen) + 1) : groups(keys);
}

// Blocks a tile: where tiles would leave multiprocessors idle, as many as all tiles find room for at once, if there are
// groups for them. With one more, some tiles would wait for others to end, which costs more than it brings.
template <int head_dim, bool capped>
int choose_parts(std::int64_t tiles, std::int64_t groups) {
  static const auto resident = [] {  // devices of one machine are alike
    std::array<int, most_parts + 1> clusters = {};
    for (int parts = 2; parts <= most_parts; ++parts)
      clusters[parts] =
          count_resident(prefill_kernel<head_dim, capped, true>, parts, PrefillLayout<head_dim>::bytes);
    return clusters;
  }();
  int parts = static_cast<int>(std::min<std::int64_t>(most_parts, groups));
  while (parts > 1 && tiles > resident[parts]) --parts;
  return parts;
}

template <int head_dim, bool capped>
Status launch_prefill(PrefillJob& job, const CUtensorMap& k, const CUtensorMap& v, std::int64_t tiles,
                      int packs, cudaStream_t stream) {
  job.parts = choose_parts<head_dim, capped>(tiles * packs, most_groups(job));
  Kernel* const kernel =
      job.parts > 1 ? prefill_kernel<head_dim, capped, true> : prefill_kernel<head_dim, capped, false>;
  constexpr int bytes = PrefillLayout<head_dim>::bytes;
  const cudaError_t error = allow_memory(kernel, bytes);
  if (error != cudaSuccess) return {"prefill_attention: launch configuration", error};
  // Blocks that run together share a key head, so that their keys and values stay in the L2 cache.
  const dim3 grid(static_cast<unsigned>(tiles * job.parts), static_cast<unsigned>(packs));
  return launch("prefill_attention", kernel, {grid, dim3(prefill_threads), bytes, stream, job.parts}, k, v,
                job);
}

template <int head_dim>
Status launch_prefill(PrefillJob& job, const CUtensorMap& k, const CUtensorMap& v, cudaStream_t stream) {
  job.tile_tokens = PrefillLayout<head_dim>::rows / job.pack_heads;
  // As many as the chunks can have: one with a single token in its last tile each.
  const std::int64_t tiles =
      (job.chunks.rows + static_cast<std::int64_t>(job.chunks.count) * (job.tile_tokens - 1)) /
      job.tile_tokens;
  const int packs = job.shape.kv_heads * job.head_packs;
  if (tiles > std::numeric_limits<int>::max() || packs > 65535)
    return {"prefill_attention: rows and heads, expected what fits a launch"};
  return job.shape.soft_cap > 0.0f ? launch_prefill<head_dim, true>(job, k, v, tiles, packs, stream)
                                   : launch_prefill<head_dim, false>(job, k, v, tiles, packs, stream);
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
