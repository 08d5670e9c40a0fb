// The kernel of step_attention().
//
// A block works on two leaves of a piece (attention_piece.cuh) at a time, four warps each. Where a step has pieces for
// half of the blocks at most, the two blocks of a cluster share each: the second takes what is past two leaves and puts
// its results beside those of the first. Of a leaf a warp brings and multiplies two of the eight units of K, then, with
// everyone's scores, a quarter of the columns of V. So what a warp brings it alone reads, and only scores cross. The
// order of every sum is attend_leaf()'s.
//
// The token's own key and value come from the projection: they are turned here, put where the copy left them out,
// and written to the cache.
#pragma once

#include "attention_piece.cuh"
#include "attention_step.hpp"
#include "hopper.cuh"
#include "rope_head.cuh"

namespace serveloop::kernels::cuda {

inline constexpr int leaf_warps = 4;
inline constexpr int leaves_at_once = 2;
inline constexpr int step_threads = leaf_warps * leaves_at_once * 32;
inline constexpr int block_tokens_at_once = leaves_at_once * attention_leaf_tokens;
static_assert(attention_group_tokens == 2 * block_tokens_at_once);  // so two blocks take a group at once

struct StepKernelJob {
  Job attention;
  RopeJob rope;
  bool early;
};

// Shared memory: K and V of the leaves at work, then the results of all leaves of a group.
template <int head_dim>
struct StepMemory {
  static constexpr int side_bytes = attention_leaf_tokens * head_dim * 2;  // of K or V of a leaf
  static constexpr int results_at = leaves_at_once * 2 * side_bytes;
  __host__ __device__ static constexpr int leaf_bytes(int heads) { return heads * head_dim * 4; }
  __host__ __device__ static constexpr int bytes(int heads) {
    return results_at + group_leaves * leaf_bytes(heads);
  }
};

// A warp's quarter of the columns of V: rows of `chunks` 16-byte chunks, permuted so that the eight rows of a matrix
// lie in different banks.
template <int head_dim>
struct ValueQuarter {
  static constexpr int chunks = head_dim / 32;
  std::uint32_t memory;

  __device__ std::uint32_t at(int row, int chunk) const {
    return memory + (row * chunks + (chunk ^ (row / (8 / chunks) & (chunks - 1)))) * 16;
  }
};

template <int head_dim>
__device__ std::uint32_t key_chunk(std::uint32_t keys, int row, int chunk) {
  return keys + row * head_dim * 2 + (chunk ^ (row & 7)) * 16;
}

// What a warp does for one leaf.
template <int head_dim>
struct LeafShare {
  Leaf leaf;
  int warp;            // of the leaf's four
  int fresh;           // row of the leaf that the token's own key has; outside [0, 128): none
  std::uint32_t keys;  // of the leaf
  ValueQuarter<head_dim> values;

  __device__ bool sees(int unit) const { return unit >= leaf.first_unit && unit < leaf.end_unit; }

  __device__ void start_copies() const {
    const int lane = threadIdx.x % 32;
    constexpr int row_chunks = head_dim / 8;
    const auto copy = [&](std::uint32_t to, const bf16* from, int row) {
      const int position = leaf.start + row;
      if (row != fresh) copy_async_16(to, from, position >= leaf.first && position <= leaf.last);
    };
#pragma unroll
    for (int i = 0; i < leaf_units / leaf_warps; ++i) {
      const int unit = warp * (leaf_units / leaf_warps) + i;
      const std::int64_t offset = __shfl_sync(0xffffffffu, leaf.unit_offset, unit);
      if (!sees(unit)) continue;
#pragma unroll
      for (int j = 0; j < unit_tokens * row_chunks / 32; ++j) {
        const int chunk = j * 32 + lane;
        const int row = unit * unit_tokens + chunk / row_chunks;
        copy(key_chunk<head_dim>(keys, row, chunk % row_chunks), leaf.k + offset + chunk * 8, row);
      }
    }
    copy_async_commit();
    constexpr int chunks = ValueQuarter<head_dim>::chunks;
#pragma unroll
    for (int unit = 0; unit < leaf_units; ++unit) {
      const std::int64_t offset = __shfl_sync(0xffffffffu, leaf.unit_offset, unit);
      if (!sees(unit)) continue;
#pragma unroll
      for (int j = 0; j < unit_tokens * chunks / 32; ++j) {
        const int within = (j * 32 + lane) / chunks;
        const int chunk = (j * 32 + lane) % chunks;
        const int row = unit * unit_tokens + within;
        copy(values.at(row, chunk), leaf.v + offset + within * head_dim + (warp * chunks + chunk) * 8, row);
      }
    }
    copy_async_commit();
  }

  // own: the token's key, then its value, in shared memory.
  __device__ void put_fresh(const bf16* own) const {
    if (fresh < 0 || fresh >= attention_leaf_tokens) return;
    const int lane = threadIdx.x % 32;
    const uint4* from = reinterpret_cast<const uint4*>(own);
    if (fresh / unit_tokens / (leaf_units / leaf_warps) == warp && lane < head_dim / 8)
      store_shared(key_chunk<head_dim>(keys, fresh, lane), from[lane]);
    constexpr int chunks = ValueQuarter<head_dim>::chunks;
    if (lane < chunks) store_shared(values.at(fresh, lane), from[head_dim / 8 + warp * chunks + lane]);
  }

  // The scores of the warp's units to everyone: [unit][half][lane].
  __device__ void store_scores(const std::uint32_t (&q)[head_dim / 16][4], bool both_halves,
                               float4* scores) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < leaf_units / leaf_warps; ++i) {
      const int unit = warp * (leaf_units / leaf_warps) + i;
      float s[8] = {};
      if (sees(unit)) score_unit<head_dim>(keys + unit * unit_bytes<head_dim>, q, s);
      scores[unit * 64 + lane] = {s[0], s[1], s[4], s[5]};
      if (both_halves) scores[unit * 64 + 32 + lane] = {s[2], s[3], s[6], s[7]};
    }
  }

  __device__ void weigh(int unit, const std::uint32_t (&p)[4], float (&o)[head_dim / 32][4]) const {
    const int lane = threadIdx.x % 32;
    const int row = unit * unit_tokens + lane / 8 % 2 * 8 + lane % 8;
#pragma unroll
    for (int step = 0; step < head_dim / 64; ++step) {
      std::uint32_t b[4];
      load_matrices_transposed(b, values.at(row, step * 2 + lane / 16));
      multiply_add(o[2 * step], p, b[0], b[1]);
      multiply_add(o[2 * step + 1], p, b[2], b[3]);
    }
  }
};

// The warp's quarter of the leaf's state to shared memory. scores: as store_scores() left them.
template <int head_dim, bool both_halves, bool capped>
__device__ void finish_leaf(const LeafShare<head_dim>& share, const AttentionShape& shape, int heads,
                            const float4* scores, float* values, float2* sums) {
  const int lane = threadIdx.x % 32;
  float s[leaf_units * 8] = {};
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) {
    const float4 low = scores[unit * 64 + lane];
    s[unit * 8] = low.x, s[unit * 8 + 1] = low.y, s[unit * 8 + 4] = low.z, s[unit * 8 + 5] = low.w;
    if constexpr (both_halves) {
      const float4 high = scores[unit * 64 + 32 + lane];
      s[unit * 8 + 2] = high.x, s[unit * 8 + 3] = high.y, s[unit * 8 + 6] = high.z, s[unit * 8 + 7] = high.w;
    }
  }
  const Leaf& leaf = share.leaf;
  float m[2], l[2];
  soften_half<capped>(leaf.start, leaf.first, leaf.last, shape.scale, shape.soft_cap, 0, s, m[0], l[0]);
  if constexpr (both_halves)
    soften_half<capped>(leaf.start, leaf.first, leaf.last, shape.scale, shape.soft_cap, 1, s, m[1], l[1]);
  copy_async_wait<0>();
  __syncwarp();
  float o[head_dim / 32][4] = {};
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) {
    if (!share.sees(unit)) continue;
    std::uint32_t p[4];
    pack_unit(s + unit * 8, both_halves, p);
    share.weigh(unit, p, o);
  }
#pragma unroll
  for (int half = 0; half < (both_halves ? 2 : 1); ++half) {
    const int row = lane / 4 + half * 8;
    if (row >= heads) continue;
    if (share.warp == 0 && lane % 4 == 0) sums[row] = {m[half], l[half]};
#pragma unroll
    for (int i = 0; i < head_dim / 32; ++i)
      *reinterpret_cast<float2*>(values + row * head_dim + share.warp * (head_dim / 4) + i * 8 +
                                 lane % 4 * 2) = {o[i][half * 2], o[i][half * 2 + 1]};
  }
}

// Turns the pack's queries, and where the block has the token's own position (`has_own`) its key and value, which it
// writes to the cache. queries: [heads], `stride` elements each; own: key, value.
template <int head_dim>
__device__ void turn_heads(const RopeJob& job, const Piece& piece, bool has_own, bf16* queries, int stride,
                           bf16* own) {
  const int element = threadIdx.x % 32 * (head_dim / 32);
  const int total = job.q_heads + 2 * job.kv_heads;
  for (int i = threadIdx.x / 32; i < piece.heads + (has_own ? 2 : 0); i += step_threads / 32) {
    const int side = i - piece.heads;  // 0: K, 1: V
    const int head = side < 0 ? piece.q_head + i : job.q_heads + side * job.kv_heads + piece.kv_head;
    const bf16* row = job.qkv + (static_cast<std::int64_t>(piece.token) * total + head) * head_dim + element;
    const Elements<head_dim / 32> x = turned_head<head_dim>(job, row, head, piece.last);
    if (side < 0) {
      store(queries + i * stride + element, x);
      continue;
    }
    store(own + side * head_dim + element, x);
    const int block =
        job.block_table[static_cast<std::int64_t>(job.table_row[piece.token]) * job.table_stride +
                        piece.last / job.block_tokens];
    const std::int64_t slot =
        static_cast<std::int64_t>(piece.kv_head) * job.block_tokens + piece.last % job.block_tokens;
    store((side == 0 ? job.k_cache : job.v_cache) + block * job.block_stride + slot * head_dim + element, x);
  }
}

template <int head_dim, bool both_halves, bool capped>
__global__ void __launch_bounds__(step_threads) step_kernel(const __grid_constant__ StepKernelJob job) {
  using Memory = StepMemory<head_dim>;
  constexpr int heads_limit = both_halves ? pack_heads_limit : pack_heads_limit / 2;
  constexpr int stride = head_dim + 8;  // so that eight queries lie in different banks
  extern __shared__ __align__(128) char memory[];
  __shared__ float4 scores[leaves_at_once][leaf_units * 64];
  __shared__ float2 sums[group_leaves][pack_heads_limit];
  __shared__ __align__(16) bf16 queries[heads_limit * stride];
  __shared__ __align__(16) bf16 own[2 * head_dim];
  __shared__ int arrived;
  const Job& attention = job.attention;
  const int side = threadIdx.x / 128;  // which of the leaves at once
  const int warp = threadIdx.x / 32 % leaf_warps;
  const LeafResults results = {sums, memory + Memory::results_at, Memory::leaf_bytes(heads_limit)};
  let_successor_start();
  if (!job.early) wait_for_predecessor();
  const int total = attention.plan.words[1] * attention.packs;
  const int blocks = total * 2 <= static_cast<int>(gridDim.x) ? 2 : 1;  // of a piece
  const int rank = blocks == 2 ? static_cast<int>(cluster_rank()) : 0;
  if (blocks == 2)
    cluster_arrive();  // the first block's results may be written; nobody waits for blocks that end
  for (int work = blockIdx.x / blocks; work < total; work += gridDim.x / blocks) {
    const Piece piece = piece_of(attention, work);
    const int seen = min(piece.last - piece.group * attention_group_tokens, attention_group_tokens - 1);
    const bool shared = blocks == 2 && seen >= block_tokens_at_once;
    if (rank > 0 && !shared) continue;
    LeafShare<head_dim> share;
    share.warp = warp;
    share.keys = shared_address(memory) + side * 2 * Memory::side_bytes;
    share.values.memory = share.keys + Memory::side_bytes + warp * (Memory::side_bytes / leaf_warps);
    const auto start = [&](int index) {
      share.leaf = leaf_of(attention, piece, index);
      share.fresh = piece.last - share.leaf.start;
      if (share.leaf.first <= share.leaf.last) share.start_copies();
    };
    int first = rank * leaves_at_once;
    start(first + side);
    const bool has_own = piece.last / attention_group_tokens == piece.group &&
                         (blocks == 1 || seen / block_tokens_at_once == rank);
    wait_for_predecessor();
    turn_heads<head_dim>(job.rope, piece, has_own, queries, stride, own);
    __syncthreads();
    if (shared) cluster_wait();
    while (true) {
      const int index = first + side;
      const bool works = share.leaf.first <= share.leaf.last;
      if (works) {
        share.put_fresh(own);
        std::uint32_t q[head_dim / 16][4];
        load_query<head_dim>(queries, piece.heads, q, stride);
        copy_async_wait<1>();
        __syncwarp();
        share.store_scores(q, both_halves, scores[side]);
      }
      __syncthreads();
      if (works) {
        char* values = memory + Memory::results_at + index * Memory::leaf_bytes(heads_limit);
        float2* leaf_sums = sums[index];
        if (rank > 0) values = in_cluster_block(values, 0), leaf_sums = in_cluster_block(leaf_sums, 0);
        finish_leaf<head_dim, both_halves, capped>(share, attention.shape, piece.heads, scores[side],
                                                   reinterpret_cast<float*>(values), leaf_sums);
      }
      __syncthreads();
      first += blocks * leaves_at_once;
      if (first * attention_leaf_tokens > seen) break;
      start(first + side);
    }
    if (shared) cluster_barrier();  // all leaves have left their results
    if (rank == 0 && finish_group<head_dim>(attention, piece, results, arrived))
      fold_groups<head_dim>(attention, piece);
    __syncthreads();  // nobody reads this piece's shared memory any more; with two blocks a piece, it was the only one
  }
  if (blockIdx.x == 0) wait_for_predecessor();  // also where there is no work; idle blocks make room at once
}

}  // namespace serveloop::kernels::cuda
