// A piece of work of decode attention: (token, group of 512 keys, pack of up to 16 query heads that share a key head).
// A block makes the states of its leaves; here they are folded, and where the token has more groups, the last block
// to finish folds them all. Who comes last decides nothing but who does the work.
//
// Workspace: [0] ticket, then a counter for each (token, pack), 0 between launches; then the groups' states:
// o[item][pack][heads][head_dim], m and l[item][pack][heads].
#pragma once

#include "attention_fold.cuh"
#include "attention_leaf.cuh"
#include "attention_plan.cuh"

namespace serveloop::kernels::cuda {

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
  int table_row;
};

// Checks the arguments, as attention.hpp has them, and lays out the workspace.
Status make_job(const AttentionShape& shape, const AttentionRows& rows, const AttentionCache& cache,
                const AttentionPlan& plan, const __nv_bfloat16* q, std::int64_t q_stride, __nv_bfloat16* out,
                void* workspace, Job& job);

__device__ inline Piece piece_of(const Job& job, int work) {
  Piece piece;
  piece.item = work / job.packs;
  piece.pack = work % job.packs;
  const PlanItem item = plan_items(job.plan)[piece.item];
  piece.token = item.token;
  piece.group = item.group;
  piece.first_item = item.first_item;
  piece.items = item.items;
  piece.kv_head = piece.pack / job.head_packs;
  const int group_heads = job.shape.q_heads / job.shape.kv_heads;
  const int done = piece.pack % job.head_packs * job.pack_heads;
  piece.q_head = piece.kv_head * group_heads + done;
  piece.heads = min(job.pack_heads, group_heads - done);
  piece.last = item.last;
  piece.first = job.shape.window > 0 ? max(0, piece.last - job.shape.window + 1) : 0;
  piece.table_row = item.table_row;
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
    const std::int64_t row = static_cast<std::int64_t>(piece.table_row) * job.cache.table_stride;
    const int block = job.cache.block_table[row + (position >> job.block_shift)];
    const int within = position & (job.shape.block_tokens - 1);
    leaf.unit_offset =
        block * job.cache.block_stride +
        (static_cast<std::int64_t>(piece.kv_head) * job.shape.block_tokens + within) * job.shape.head_dim;
  }
  return leaf;
}

template <int head_dim>
__device__ bf16* result_at(const Job& job, const Piece& piece, int row, int column) {
  return job.out +
         (static_cast<std::int64_t>(piece.token) * job.shape.q_heads + piece.q_head + row) * head_dim +
         column;
}

// What a block's leaves left in shared memory: maxima and sums [leaf][row], values [leaf][row][head_dim].
struct LeafResults {
  const float2 (*sums)[pack_heads_limit];
  const char* values;
  int leaf_bytes;  // from the values of one leaf to the next
};

// Folds the leaves of a group; `quad` counts groups of four columns over rows.
template <int head_dim>
__device__ FoldState fold_leaves(const LeafResults& from, int quad, int first, int end) {
  const int row = quad / (head_dim / 4);
  FoldState state;
  for (int leaf = first; leaf < end; ++leaf) {
    const FoldState next = {from.sums[leaf][row].x, from.sums[leaf][row].y,
                            reinterpret_cast<const float4*>(from.values + leaf * from.leaf_bytes)[quad]};
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
  for (int quad = threadIdx.x; quad < piece.heads * head_dim / 4; quad += static_cast<int>(blockDim.x)) {
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
__device__ bool finish_group(const Job& job, const Piece& piece, const LeafResults& from, int& arrived) {
  const int start = piece.group * attention_group_tokens;
  const int first = max(0, piece.first - start) / attention_leaf_tokens;
  const int end = min(piece.last - start, attention_group_tokens - 1) / attention_leaf_tokens + 1;
  const std::int64_t slot = static_cast<std::int64_t>(piece.item) * job.packs + piece.pack;
  for (int quad = threadIdx.x; quad < piece.heads * head_dim / 4; quad += static_cast<int>(blockDim.x)) {
    const int row = quad / (head_dim / 4);
    const FoldState state = fold_leaves<head_dim>(from, quad, first, end);
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

}  // namespace serveloop::kernels::cuda
