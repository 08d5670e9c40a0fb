// The kernel of decode_attention().
//
// A block of four warps takes one piece of work after another: (token, group of 512 keys, pack of up to 16 query
// heads that share a key head). Each warp makes the state of one leaf; the block folds the four; where the token
// has more groups, the last block to finish folds them all. Who comes last decides nothing but who does the work.
//
// Workspace: [0] ticket, then a counter for each (token, pack), 0 between launches; then the groups' states:
// o[item][pack][heads][head_dim], m and l[item][pack][heads].
#pragma once

#include "attention_fold.cuh"
#include "attention_leaf.cuh"
#include "attention_plan.cuh"
#include "hopper.cuh"

namespace serveloop::kernels::cuda {
inline constexpr int block_threads = group_leaves * 32;
inline constexpr int pack_heads_limit = 16;

struct Job {
  AttentionShape shape;
  AttentionRows rows;
  AttentionCache cache;
  AttentionPlan plan;
  const bf16* q;
  std::int64_t q_stride;
  bf16* out;
  std::int32_t* ticket;
  std::int32_t* counters;  // [max_tokens, packs]
  float* states;           // [max_items, packs, heads, head_dim]
  float2* sums;            // [max_items, packs, heads]: maximum, sum
  int packs;               // of all key heads
  int head_packs;          // of one key head
  int pack_heads;          // query heads of a full pack
  int block_shift;         // log2(block_tokens)
};

struct Piece {
  int item, token, group, pack;
  int items, first_item;  // of the token
  int kv_head, q_head, heads;
  int first, last;  // visible positions
};

// A warp's ring; after the leaf it holds the warp's weighted values [heads, head_dim] in F32.
template <int head_dim>
inline constexpr int ring_bytes = ring_slots* unit_bytes<head_dim>;

__device__ inline Piece piece_of(const Job& job, int work) {
  Piece piece;
  piece.item = work / job.packs;
  piece.pack = work % job.packs;
  const int2 pair = plan_items(job.plan)[piece.item];
  piece.token = pair.x;
  piece.group = pair.y;
  piece.first_item = job.plan.words[2 + piece.token];
  piece.items = job.plan.words[3 + piece.token] - piece.first_item;
  piece.kv_head = piece.pack / job.head_packs;
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  const int done = piece.pack % job.head_packs * job.pack_heads;
  piece.q_head = piece.kv_head * group_heads + done;
  piece.heads = min(job.pack_heads, group_heads - done);
  piece.last = job.rows.position[piece.token];
  piece.first = job.shape.window > 0 ? max(0, piece.last - job.shape.window + 1) : 0;
  return piece;
}

// Visible keys of a leaf: none where first > last.
__device__ inline Leaf leaf_of(const Job& job, const Piece& piece, int index) {
  Leaf leaf;
  leaf.k = job.cache.k;
  leaf.v = job.cache.v;
  leaf.start = piece.group * attention_group_tokens + index * attention_leaf_tokens;
  leaf.first = max(piece.first, leaf.start);
  leaf.last = min(piece.last, leaf.start + attention_leaf_tokens - 1);
  leaf.first_unit = (leaf.first - leaf.start) / unit_tokens;
  leaf.end_unit = leaf.first <= leaf.last ? (leaf.last - leaf.start) / unit_tokens + 1 : leaf.first_unit;
  leaf.unit_offset = 0;
  const int unit = threadIdx.x % 32;
  if (unit >= leaf.first_unit && unit < leaf.end_unit) {
    const int position = leaf.start + unit * unit_tokens;
    const std::int64_t row =
        static_cast<std::int64_t>(job.rows.table_row[piece.token]) * job.cache.table_stride;
    const int block = job.cache.block_table[row + (position >> job.block_shift)];
    const int within = position & (job.shape.block_tokens - 1);
    leaf.unit_offset =
        block * job.cache.block_stride +
        (static_cast<std::int64_t>(piece.kv_head) * job.shape.block_tokens + within) * job.shape.head_dim;
  }
  return leaf;
}

// Writes the visible rows of a warp's state to its shared memory.
template <int head_dim, bool both_halves>
__device__ void store_leaf(const LeafState<head_dim>& state, int heads, float* values, float2* sums) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < (both_halves ? 2 : 1); ++half) {
    const int row = lane / 4 + half * 8;
    if (row >= heads) continue;
    if (lane % 4 == 0) sums[row] = {state.m[half], state.l[half]};
#pragma unroll
    for (int i = 0; i < head_dim / 8; ++i) {
      *reinterpret_cast<float2*>(values + row * head_dim + i * 8 + lane % 4 * 2) = {state.o[i][half * 2],
                                                                                    state.o[i][half * 2 + 1]};
    }
  }
}

template <int head_dim>
__device__ float* leaf_values(char* memory, int leaf) {
  return reinterpret_cast<float*>(memory + leaf * ring_bytes<head_dim>);
}

template <int head_dim>
__device__ bf16* result_at(const Job& job, const Piece& piece, int row, int column) {
  return job.out +
         (static_cast<std::int64_t>(piece.token) * job.shape.q_heads + piece.q_head + row) * head_dim +
         column;
}

// Folds the leaves of a group; `quad` counts groups of four columns over rows.
template <int head_dim>
__device__ FoldState fold_leaves(char* memory, const float2 (*sums)[pack_heads_limit], int quad, int first,
                                 int end) {
  const int row = quad / (head_dim / 4);
  FoldState state;
  for (int leaf = first; leaf < end; ++leaf) {
    const FoldState next = {sums[leaf][row].x, sums[leaf][row].y,
                            reinterpret_cast<const float4*>(leaf_values<head_dim>(memory, leaf))[quad]};
    if (leaf == first) {
      state = next;
    } else {
      fold(state, next);
    }
  }
  return state;
}

// Folds all groups of a token, from memory that other blocks wrote.
template <int head_dim>
__device__ void fold_groups(const Job& job, const Piece& piece) {
  for (int quad = threadIdx.x; quad < piece.heads * head_dim / 4; quad += block_threads) {
    const int row = quad / (head_dim / 4);
    FoldState state;
#pragma unroll 4
    for (int i = 0; i < piece.items; ++i) {
      const std::int64_t slot = static_cast<std::int64_t>(piece.first_item + i) * job.packs + piece.pack;
      const float2 sum = __ldcg(job.sums + slot * job.pack_heads + row);
      const float4 values =
          __ldcg(reinterpret_cast<const float4*>(job.states + slot * job.pack_heads * head_dim) + quad);
      const FoldState next = {sum.x, sum.y, values};
      if (i == 0) {
        state = next;
      } else {
        fold(state, next);
      }
    }
    store_result(state, result_at<head_dim>(job, piece, row, quad % (head_dim / 4) * 4));
  }
}

// Folds the block's leaves, then writes the result or the group's state. Returns, to all threads alike, whether
// this was the last group of the token and pack.
template <int head_dim>
__device__ bool finish_group(const Job& job, const Piece& piece, char* memory,
                             const float2 (*sums)[pack_heads_limit], int& arrived) {
  const int start = piece.group * attention_group_tokens;
  const int first = max(0, piece.first - start) / attention_leaf_tokens;
  const int end = min(piece.last - start, attention_group_tokens - 1) / attention_leaf_tokens + 1;
  const std::int64_t slot = static_cast<std::int64_t>(piece.item) * job.packs + piece.pack;
  for (int quad = threadIdx.x; quad < piece.heads * head_dim / 4; quad += block_threads) {
    const int row = quad / (head_dim / 4);
    const FoldState state = fold_leaves<head_dim>(memory, sums, quad, first, end);
    if (piece.items == 1) {
      store_result(state, result_at<head_dim>(job, piece, row, quad % (head_dim / 4) * 4));
      continue;
    }
    reinterpret_cast<float4*>(job.states + slot * job.pack_heads * head_dim)[quad] = state.o;
    if (quad % (head_dim / 4) == 0) job.sums[slot * job.pack_heads + row] = {state.m, state.l};
  }
  if (piece.items == 1) return false;
  __threadfence();
  __syncthreads();
  std::int32_t* counter = job.counters + static_cast<std::int64_t>(piece.token) * job.packs + piece.pack;
  if (threadIdx.x == 0) arrived = atomicAdd(counter, 1);
  __syncthreads();
  if (arrived != piece.items - 1) return false;
  if (threadIdx.x == 0) *counter = 0;
  __threadfence();
  return true;
}

// Draws the block's next piece. Every block draws once past the end; the last of those draws resets the ticket.
__device__ inline int draw(const Job& job, int total) {
  const int blocks = gridDim.x;
  const int drawn = atomicAdd(job.ticket, 1);
  if (drawn == max(total - blocks, 0) + blocks - 1) *job.ticket = 0;
  return blocks + drawn;
}

template <int head_dim, bool both_halves, bool capped>
__global__ void __launch_bounds__(block_threads) decode_kernel(const Job job) {
  extern __shared__ __align__(128) char memory[];
  __shared__ float2 sums[group_leaves][pack_heads_limit];
  __shared__ int next_work;
  __shared__ int arrived;
  let_successor_start();
  wait_for_predecessor();
  const int total = job.plan.words[1] * job.packs;
  const int warp = threadIdx.x / 32;
  for (int work = blockIdx.x;; work = next_work) {
    __syncthreads();  // nobody reads the former piece's shared memory any more
    if (threadIdx.x == 0) next_work = draw(job, total);
    if (work < total) {
      const Piece piece = piece_of(job, work);
      const Leaf leaf = leaf_of(job, piece, warp);
      if (leaf.first <= leaf.last) {
        const bf16* q = job.q + piece.token * job.q_stride + piece.q_head * head_dim;
        char* ring = memory + warp * ring_bytes<head_dim>;
        LeafState<head_dim> state;
        attend_leaf<head_dim, both_halves, capped>(leaf, q, piece.heads, job.shape.scale, job.shape.soft_cap,
                                                   shared_address(ring), state);
        copy_async_wait<0>();
        __syncwarp();
        store_leaf<head_dim, both_halves>(state, piece.heads, reinterpret_cast<float*>(ring), sums[warp]);
      }
      __syncthreads();
      if (finish_group<head_dim>(job, piece, memory, sums, arrived)) fold_groups<head_dim>(job, piece);
    }
    __syncthreads();
    if (next_work >= total) return;
  }
}

}  // namespace serveloop::kernels::cuda
