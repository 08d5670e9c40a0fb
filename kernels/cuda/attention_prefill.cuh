// The kernel of prefill_attention().
//
// A block, or a cluster of them, takes tiles: some consecutive tokens of a chunk with the query heads that share a key head, 128 rows of
// scores (64 at head size 256). Two warpgroups of consumers own 64 rows each; at head size 256 they own the same 64
// rows and half of the columns of V each, and both make the scores. Of the third warpgroup one warp finds the tiles, one
// brings their queries, one keys and one values, a leaf at a time, through rings in shared memory.
//
// A row's state passes through the steps of decode_attention(): leaf, group, result, each from its own start, with
// products that the tensor cores sum alike in mma.sync and wgmma (tests/device/test_prefill.cu compares the bits).
// What a row doesn't see enters its sums as zeros.
//
// Few tiles leave multiprocessors idle. Then a tile has a cluster of blocks, which take its groups of keys in turn: each
// computes its group's state while others compute theirs, and the sum of the groups so far goes from block to block in
// ascending order (attention_rows.cuh). So the order of a row's sums is the same however many blocks a tile has.
//
// Sources: tiles and online softmax (Dao, FlashAttention-2, 2023), warpgroups with a producer that take turns (Shah et
// al., FlashAttention-3, 2024).
#pragma once

#include "attention_consume.cuh"
#include "attention_order.cuh"

namespace serveloop::kernels::cuda {

template <int head_dim>
__device__ void init_barriers(std::uint32_t base) {
  using Layout = PrefillLayout<head_dim>;
  Layout::q(base).init(2);
  Layout::k(base).init(2);
  Layout::v(base).init(2);
  Ring<tile_slots>{base + Layout::tile_barriers_at, 0}.init(TileRing::readers);
  for (int i = 0; i < consumer_warps; ++i) barrier_init(base + Layout::total_barriers_at + i * 8, 1);
  barrier_init_fence();
}

// A warp of producers.
template <int head_dim>
__device__ void produce(const PrefillJob& job, const CUtensorMap& q_map, const CUtensorMap& k_map,
                        const CUtensorMap& v_map, char* memory, int team, int teams, int part) {
  using Layout = PrefillLayout<head_dim>;
  const std::uint32_t base = shared_address(memory);
  const TileRing tiles = TileRing::at<Layout>(memory);
  switch (uniform(static_cast<int>(threadIdx.x) / 32) - consumer_warps) {
    case 0: return deal_tiles(job, tiles, team, teams);
    case 1: prefetch_map(q_map); return bring_queries<head_dim>(job, tiles, q_map, Layout::q(base));
    case 2:
      prefetch_map(k_map);
      return bring_leaves<head_dim, false>(job, tiles, part, k_map, Layout::k(base));
    default:
      prefetch_map(v_map);
      return bring_leaves<head_dim, true>(job, tiles, part, v_map, Layout::v(base));
  }
}

// clustered: a tile has a cluster of blocks, and a cluster one tile.
template <int head_dim, bool capped, bool clustered>
__global__ void __launch_bounds__(prefill_threads, 1)
    prefill_kernel(const __grid_constant__ CUtensorMap q_map, const __grid_constant__ CUtensorMap k_map,
                   const __grid_constant__ CUtensorMap v_map, const __grid_constant__ PrefillJob job) {
  extern __shared__ __align__(1024) char memory[];
  let_successor_start();
  if (threadIdx.x == 0) init_barriers<head_dim>(shared_address(memory));
  wait_for_predecessor();
  const int team = static_cast<int>(clustered ? cluster_index() : blockIdx.x);
  const int teams = static_cast<int>(gridDim.x) / (clustered ? job.parts : 1);
  const int part = clustered ? static_cast<int>(cluster_rank()) : 0;
  bool shared = false;  // whether other blocks have groups of the tile too
  if constexpr (clustered) {
    const TileOrder order(job);
    if (team >= order.count()) return;
    const Tile tile = order.at(0, team);
    const Leaves leaves(tile.first, tile.last, job.parts, part);
    if (!leaves.left()) return;
    shared = leaves.shared();
  }
  __syncthreads();
  if (shared) cluster_arrive();
  if (uniform(static_cast<int>(threadIdx.x) / 128) == consumer_threads / 128) {
    give_registers<40>();
    produce<head_dim>(job, q_map, k_map, v_map, memory, team, teams, part);
    if (shared) cluster_wait();  // each that arrives waits, so that no later phase is taken for this one
  } else {
    take_registers<232>();
    if (shared) cluster_wait();  // the other blocks have made their barriers
    Consumer<head_dim, capped, clustered>(job, memory, part).run();
    if (shared) cluster_barrier();  // what this block handed on has arrived
  }
}

}  // namespace serveloop::kernels::cuda
