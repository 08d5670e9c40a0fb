// The host side of prefill_attention(): checks, descriptions of the cache, choice of the kernel's instance.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "attention_plan.cuh"
#include "attention_prefill.cuh"
#include "launch.hpp"
#include "tensor_map.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int pack_heads_limit = 16;

using Kernel = void(CUtensorMap, CUtensorMap, CUtensorMap, PrefillJob);

// Of the queries, keys and values.
struct Maps {
  CUtensorMap q, k, v;
};

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

int count_multiprocessors() {
  int device = 0, count = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) == cudaSuccess;
  return known ? count : 1;
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

// How many packs of query heads the blocks work on together: those whose keys and values, each read by many tiles, find
// room in the nearer half of the L2 cache, and enough for a few tiles a block. tiles: of all packs.
int choose_packs_at_once(const PrefillJob& job, std::int64_t tiles, int blocks) {
  constexpr double room = 16e6;
  const double keys = job.chunks.most_keys > 0 ? job.chunks.most_keys : room;
  const double bytes = keys * job.chunks.count * job.shape.head_dim * 4.0;  // of a key head
  const double fit = std::max(1.0, std::floor(room / bytes)) * job.head_packs;
  const double enough = std::ceil(3.0 * blocks * job.packs / static_cast<double>(tiles));
  int packs = static_cast<int>(std::min<double>(job.packs, std::max(fit, enough)));
  while (job.packs % packs != 0) ++packs;
  return packs;
}

template <int head_dim, bool capped>
Status launch_prefill(PrefillJob& job, const Maps& maps, std::int64_t tiles, cudaStream_t stream) {
  static const int multiprocessors = count_multiprocessors();
  job.parts = choose_parts<head_dim, capped>(tiles, most_groups(job));
  job.packs_at_once = job.parts > 1 ? job.packs : choose_packs_at_once(job, tiles, multiprocessors);
  Kernel* const kernel =
      job.parts > 1 ? prefill_kernel<head_dim, capped, true> : prefill_kernel<head_dim, capped, false>;
  constexpr int bytes = PrefillLayout<head_dim>::bytes;
  const cudaError_t error = allow_memory(kernel, bytes);
  if (error != cudaSuccess) return {"prefill_attention: launch configuration", error};
  const std::int64_t blocks =
      job.parts > 1 ? tiles * job.parts : std::min<std::int64_t>(tiles, multiprocessors);
  return launch("prefill_attention", kernel,
                {dim3(static_cast<unsigned>(blocks)), dim3(prefill_threads), bytes, stream, job.parts},
                maps.q, maps.k, maps.v, job);
}

// Rows of q as boxes of a tile's tokens by a pack's heads.
Status describe_queries(const PrefillJob& job, const bf16* q, std::int64_t q_stride, CUtensorMap& map) {
  TensorShape tensor;
  tensor.rank = 3;
  tensor.size[0] = static_cast<std::uint64_t>(job.shape.head_dim);
  tensor.size[1] = static_cast<std::uint64_t>(job.shape.q_heads);
  tensor.size[2] = static_cast<std::uint64_t>(job.chunks.rows);
  tensor.stride[1] = static_cast<std::uint64_t>(job.shape.head_dim);
  tensor.stride[2] = static_cast<std::uint64_t>(q_stride);
  tensor.box[1] = static_cast<std::uint32_t>(job.pack_heads);
  tensor.box[2] = static_cast<std::uint32_t>(job.tile_tokens);
  return make_tensor_map(q, tensor, map);
}

template <int head_dim>
Status launch_prefill(PrefillJob& job, Maps& maps, const bf16* q, std::int64_t q_stride,
                      cudaStream_t stream) {
  job.tile_tokens = PrefillLayout<head_dim>::rows / job.pack_heads;
  if (const Status status = describe_queries(job, q, q_stride, maps.q); !status.ok()) return status;
  // As many as the chunks can have: one with a single token in its last tile each.
  const std::int64_t tiles =
      (job.chunks.rows + static_cast<std::int64_t>(job.chunks.count) * (job.tile_tokens - 1)) /
      job.tile_tokens * job.packs;
  if (tiles > std::numeric_limits<int>::max() / most_parts)
    return {"prefill_attention: rows and heads, expected what fits a launch"};
  return job.shape.soft_cap > 0.0f ? launch_prefill<head_dim, true>(job, maps, tiles, stream)
                                   : launch_prefill<head_dim, false>(job, maps, tiles, stream);
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
  if (reinterpret_cast<std::uintptr_t>(out) % 16 != 0)
    return {"prefill_attention: out, expected a multiple of 16 bytes"};
  if (chunks.count == 0 || chunks.rows == 0) return {};
  Maps maps;
  if (const Status status = describe(shape, cache, cache.k, maps.k); !status.ok()) return status;
  if (const Status status = describe(shape, cache, cache.v, maps.v); !status.ok()) return status;
  PrefillJob job{};
  job.shape = shape;
  job.chunks = chunks;
  job.cache = cache;
  job.out = out;
  const int group_heads = shape.q_heads / shape.kv_heads;
  job.head_packs = (group_heads + pack_heads_limit - 1) / pack_heads_limit;
  job.pack_heads = std::min(group_heads, pack_heads_limit);
  job.packs = shape.kv_heads * job.head_packs;
  while ((1 << job.block_shift) < shape.block_tokens) ++job.block_shift;
  switch (shape.head_dim) {
    case 64: return launch_prefill<64>(job, maps, q, q_stride, stream);
    case 128: return launch_prefill<128>(job, maps, q, q_stride, stream);
    default: return launch_prefill<256>(job, maps, q, q_stride, stream);
  }
}

}  // namespace serveloop::kernels::cuda
