// The kernel of prefill_attention().
//
// A block, or a cluster of them, takes a tile: some consecutive tokens of a chunk with the query heads that share a key head, 128 rows of
// scores (64 at head size 256). Two warpgroups of consumers own 64 rows each; at head size 256 they own the same 64
// rows and half of the columns of V each, and both make the scores. Of the third warpgroup one warp brings keys and one
// values, a leaf at a time, through rings in shared memory.
//
// A row's state passes through the steps of decode_attention(): leaf, group, result, each from its own start, with
// products that the tensor cores sum alike in mma.sync and wgmma (tests/device/test_prefill.cu compares the bits).
// What a row doesn't see enters its sums as zeros.
//
// Few tiles leave multiprocessors idle. Then a tile has a cluster of blocks, which take its groups of keys in turn: each
// computes its group's state while others compute theirs, and the sum of the groups so far goes from block to block in
// ascending order (attention_rows.cuh). So the order of a row's sums is the same however many blocks a tile has.
//
// Sources: tiles and online softmax (Dao, FlashAttention-2, 2023), warpgroups with a producer (Shah et al.,
// FlashAttention-3, 2024).
#pragma once

#include "attention_rows.cuh"

namespace serveloop::kernels::cuda {

// Query rows to shared memory, in the layout of the keys; rows of no token are zero.
template <int head_dim>
__device__ void load_tile_query(const PrefillJob& job, const Tile& tile, std::uint32_t to) {
  constexpr int rows = PrefillLayout<head_dim>::rows;
  for (int i = threadIdx.x; i < rows * head_dim / 8; i += consumer_threads) {
    const int row = i / (head_dim / 8);
    const int chunk = i % (head_dim / 8);
    const int token = row / job.pack_heads;
    const int head = row % job.pack_heads;
    uint4 data = {0, 0, 0, 0};
    if (token < tile.tokens && head < tile.heads) {
      data = *reinterpret_cast<const uint4*>(job.q + (tile.row0 + token) * job.q_stride +
                                             (tile.q_head + head) * head_dim + chunk * 8);
    }
    store_shared(to + chunk / 8 * (rows * 128) + row * 128 + ((chunk % 8) ^ (row & 7)) * 16, data);
  }
  fence_async_proxy();
  named_barrier(1, consumer_threads);
}

// Scores of 64 rows and the leaf's 128 keys.
template <int head_dim>
__device__ __forceinline__ void score_leaf(std::uint32_t q, std::uint32_t k, float (&s)[leaf_units * 8]) {
  constexpr int rows = PrefillLayout<head_dim>::rows;
  const Matrix rows_of_q(q);
  const Matrix keys(k);
  warpgroup_begin();
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
    warpgroup_multiply(s, rows_of_q.at(step / 4 * (rows * 128) + step % 4 * 32),
                       keys.at(step / 4 * leaf_column_bytes + step % 4 * 32), step > 0);
  }
  warpgroup_commit();
  warpgroup_wait<0>();
}

// o = P V over the leaf's 128 keys.
template <int columns>
__device__ __forceinline__ void weigh_leaf(const std::uint32_t (&p)[leaf_units][4], std::uint32_t v,
                                           float (&o)[columns / 2]) {
  const Matrix values(v, leaf_column_bytes);
  warpgroup_begin();
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit)
    warpgroup_multiply(o, p[unit], values.at(unit * unit_tokens * 128), unit > 0);
  warpgroup_commit();
  warpgroup_wait<0>();
}

struct RowPlace {
  bool used[2];
  int token[2], head[2];
  int first[2], last[2];  // visible positions
};

__device__ inline RowPlace place_rows(const PrefillJob& job, const Tile& tile, int row0) {
  RowPlace place;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row0 + half * 8;
    place.token[half] = row / job.pack_heads;
    place.head[half] = row % job.pack_heads;
    place.used[half] = place.token[half] < tile.tokens && place.head[half] < tile.heads;
    const int position = tile.position0 + place.token[half];
    place.last[half] = place.used[half] ? position : -1;
    place.first[half] = job.shape.window > 0 ? max(0, position - job.shape.window + 1) : 0;
  }
  return place;
}

// Scores become probabilities, as the left operand of their product with V. `whole`: every row sees every key.
template <bool capped>
__device__ __forceinline__ void soften_leaf(const AttentionShape& shape, const RowPlace& place, int start,
                                            bool whole, float (&s)[leaf_units * 8], float (&m)[2],
                                            float (&l)[2], std::uint32_t (&p)[leaf_units][4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (whole) {
      soften_half<capped, false>(start, 0, 0, shape.scale, shape.soft_cap, half, s, m[half], l[half]);
    } else {
      soften_half<capped>(start, place.first[half], place.last[half], shape.scale, shape.soft_cap, half, s,
                          m[half], l[half]);
    }
  }
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) pack_unit(s + unit * 8, true, p[unit]);
}

// `out`: the thread's first column of the tile's first row.
template <int columns>
__device__ void store_rows(const RowStates<columns>& state, const RowPlace& place,
                           const AttentionShape& shape, bf16* out) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (!place.used[half]) continue;
    bf16* row = out + (static_cast<std::int64_t>(place.token[half]) * shape.q_heads + place.head[half]) *
                          shape.head_dim;
    const float l = state.l[half];
#pragma unroll
    for (int i = 0; i < columns / 8; ++i) {
      *reinterpret_cast<std::uint32_t*>(row + i * 8) =
          pack_2(__fdiv_rn(state.o[i * 4 + half * 2], l), __fdiv_rn(state.o[i * 4 + half * 2 + 1], l));
    }
  }
}

// Folds a group onto those before, and leaves the sum of both for the group after.
template <int head_dim, int columns>
__device__ __forceinline__ void end_group(const Leaves& leaves, Total<head_dim>& total,
                                          RowStates<columns>& group) {
  if (leaves.shared() && leaves.follows()) total.receive();
  total.fold_into(group);
  total.keep(group);
  if (leaves.shared()) total.hand_on(leaves.next_part());
  group.clear();
}

template <int head_dim, bool capped>
__device__ void consume(const PrefillJob& job, const Tile& tile, Leaves leaves, char* memory, Ring k,
                        Ring v) {
  using Layout = PrefillLayout<head_dim>;
  constexpr int columns = Layout::columns;
  const int group_index = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);  // known to be one for the warp
  const int row_base = head_dim == 256 ? 0 : group_index * 64;
  const int column_base = head_dim == 256 ? group_index * 128 : 0;
  const std::uint32_t q = shared_address(memory);
  load_tile_query<head_dim>(job, tile, q);
  if (leaves.shared()) cluster_wait();  // the other blocks have made their barriers
  const RowPlace place = place_rows(job, tile, row_base + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4);
  const int all_last = tile.position0;  // every row sees keys up to here
  const int all_first = job.shape.window > 0 ? max(0, tile.last - job.shape.window + 1) : 0;
  Total<head_dim> total(memory);
  RowStates<columns> group;
  group.clear();
  // The warpgroups take turns with their scores, so that one multiplies while the other softens.
  const int own_turn = 2 + group_index;
  const int other_turn = 3 - group_index;
  if (group_index == 1) named_barrier_arrive(other_turn, consumer_threads);
  for (; leaves.left(); leaves.leaf = leaves.after()) {
    const int start = leaves.leaf * attention_leaf_tokens;
    float s[leaf_units * 8], m[2], l[2], o[columns / 2];
    barrier_wait(k.full(), k.phase);
    named_barrier(own_turn, consumer_threads);
    score_leaf<head_dim>(q + row_base * 128, k.memory + k.stage * Layout::leaf_bytes, s);
    if (group_index == 0 || leaves.after() <= leaves.last) named_barrier_arrive(other_turn, consumer_threads);
    if (threadIdx.x % 128 == 0) barrier_arrive(k.empty(Layout::stages));
    k.step(Layout::stages);
    std::uint32_t p[leaf_units][4];
    const bool whole = start >= all_first && start + attention_leaf_tokens - 1 <= all_last;
    soften_leaf<capped>(job.shape, place, start, whole, s, m, l, p);
    barrier_wait(v.full(), v.phase);
    weigh_leaf<columns>(p, v.memory + v.stage * Layout::leaf_bytes + column_base / 64 * leaf_column_bytes, o);
    if (threadIdx.x % 128 == 0) barrier_arrive(v.empty(Layout::stages));
    v.step(Layout::stages);
    fold_leaf(group, m, l, o);
    if (leaves.ends_group()) end_group(leaves, total, group);
  }
  if (leaves.end_tile()) {
    if (leaves.shared()) total.receive();
    total.fold_into(group);
    const std::int64_t first_row = static_cast<std::int64_t>(tile.row0) * job.shape.q_heads + tile.q_head;
    store_rows(group, place, job.shape, job.out + first_row * head_dim + column_base + threadIdx.x % 4 * 2);
  }
  if (leaves.shared()) cluster_barrier();  // what this block handed on has arrived
}

template <int head_dim>
__device__ void init_barriers(const Ring& k, const Ring& v) {
  constexpr int stages = PrefillLayout<head_dim>::stages;
  for (int i = 0; i < stages; ++i) {
    barrier_init(k.barriers + i * 8, 1);
    barrier_init(v.barriers + i * 8, 1);
    barrier_init(k.barriers + (stages + i) * 8, 2);
    barrier_init(v.barriers + (stages + i) * 8, 2);
  }
  barrier_init_fence();
}

// clustered: a tile has a cluster of blocks, along x.
template <int head_dim, bool capped, bool clustered>
__global__ void __launch_bounds__(prefill_threads, 1)
    prefill_kernel(const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map,
                   const __grid_constant__ PrefillJob job) {
  using Layout = PrefillLayout<head_dim>;
  extern __shared__ __align__(1024) char memory[];
  const std::uint32_t base = shared_address(memory);
  let_successor_start();
  wait_for_predecessor();
  const Tile tile = find_tile(job, static_cast<int>(clustered ? cluster_index() : blockIdx.x),
                              static_cast<int>(blockIdx.y));
  const Leaves leaves(tile, clustered ? job.parts : 1, clustered ? static_cast<int>(cluster_rank()) : 0);
  if (tile.tokens == 0 || !leaves.left()) return;
  const Ring k = {base + Layout::barriers_at, base + Layout::k_at};
  const Ring v = {base + Layout::barriers_at + Layout::stages * 16, base + Layout::v_at};
  if (threadIdx.x == 0) init_barriers<head_dim>(k, v);
  if (clustered && threadIdx.x < consumer_warps) {
    barrier_init(base + Layout::total_barriers_at + threadIdx.x * 8, 1);
    barrier_init_fence();
  }
  __syncthreads();
  if (leaves.shared()) cluster_arrive();
  if (threadIdx.x >= consumer_threads) {
    give_registers<40>();
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0) - consumer_threads / 32;
    if (warp == 0) {
      prefetch_map(k_map);
      produce<head_dim>(job, tile, leaves, k_map, job.cache.k, k);
    } else if (warp == 1) {
      prefetch_map(v_map);
      produce<head_dim>(job, tile, leaves, v_map, job.cache.v, v);
    }
    if (leaves.shared())
      cluster_wait();  // each that arrives waits, so that no later phase is taken for this one
  } else {
    take_registers<232>();
    consume<head_dim, capped>(job, tile, leaves, memory, k, v);
  }
}

}  // namespace serveloop::kernels::cuda
