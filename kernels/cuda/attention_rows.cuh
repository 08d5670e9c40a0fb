// States of the rows of a tile of prefill_attention(), and how they become one: leaf, group, result.
#pragma once

#include "attention_fold.cuh"
#include "attention_tile.cuh"

namespace serveloop::kernels::cuda {

// A thread's two rows of the tile and their states.
template <int columns>
struct RowStates {
  float m[2], l[2];
  float o[columns / 2];  // [column block of 8][half][2]

  // No key yet: what is folded into this comes out as it is, to the sign of a zero.
  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = -INFINITY, l[half] = -0.0f;
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) o[i] = -0.0f;
  }
};

// fold_factors(), where the next state may have no key.
__device__ __forceinline__ FoldFactors fold_factors_or_none(float into_m, float next_m) {
  const FoldFactors factors = fold_factors(into_m, next_m);
  return next_m == -INFINITY ? FoldFactors{into_m, 1.0f, 0.0f} : factors;
}

template <int columns>
__device__ __forceinline__ void fold_leaf(RowStates<columns>& into, const float (&m)[2], const float (&l)[2],
                                          const float (&o)[columns / 2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const FoldFactors factors = fold_factors_or_none(into.m[half], m[half]);
    into.m[half] = factors.m;
    into.l[half] = fold_term(into.l[half], factors.keep, l[half], factors.take);
#pragma unroll
    for (int i = 0; i < columns / 4; ++i) {
      const int at = i / 2 * 4 + half * 2 + i % 2;
      into.o[at] = fold_term(into.o[at], factors.keep, o[at], factors.take);
    }
  }
}

// The groups before the current one, of one warp's rows: sums in registers, values in this thread's own slots of shared
// memory. Where the blocks of a cluster share a tile, group after group is the next block's: each waits for what the
// groups before left, folds its own on top and hands that on, so the order of the fold is that of one block. What a block
// hands on has arrived before anything comes back to it: one place for both is enough.
template <int head_dim>
struct Total {
  using Layout = PrefillLayout<head_dim>;
  static constexpr int columns = Layout::columns;
  float m[2] = {-INFINITY, -INFINITY};
  float l[2];
  float* values;          // [columns / 2], 32 apart
  std::uint32_t barrier;  // for what the block before hands on
  int phase = 0;

  __device__ explicit Total(char* block_memory) {
    const int warp = threadIdx.x / 32;
    values = reinterpret_cast<float*>(block_memory + Layout::total_at + warp * Layout::total_bytes) +
             threadIdx.x % 32;
    barrier = shared_address(block_memory) + Layout::total_barriers_at + warp * 8;
  }

  // Takes a group in, and leaves the sum of both in it.
  __device__ __forceinline__ void fold_into(RowStates<columns>& group) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (m[half] == -INFINITY) continue;
      const FoldFactors factors = fold_factors_or_none(m[half], group.m[half]);
      group.m[half] = factors.m;
      group.l[half] = fold_term(l[half], factors.keep, group.l[half], factors.take);
#pragma unroll
      for (int i = 0; i < columns / 4; ++i) {
        const int at = i / 2 * 4 + half * 2 + i % 2;
        group.o[at] = fold_term(values[at * 32], factors.keep, group.o[at], factors.take);
      }
    }
  }

  __device__ __forceinline__ void keep(const RowStates<columns>& group) {
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = group.m[half], l[half] = group.l[half];
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) values[i * 32] = group.o[i];
  }

  // Waits for what the block before hands on.
  __device__ void receive() {
    if (threadIdx.x % 32 == 0) barrier_arrive_expecting(barrier, Layout::total_bytes);
    __syncwarp();  // what the warp waits for needs that arrival
    barrier_wait(barrier, phase);
    phase ^= 1;
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = sums()[half * 8].x, l[half] = sums()[half * 8].y;
    __syncwarp();  // before hand_on() writes there
  }

  // Gives what is kept to another block of the cluster.
  __device__ void hand_on(int block) {
    if (threadIdx.x % 4 == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) sums()[half * 8] = {m[half], l[half]};
    }
    fence_async_proxy();
    __syncwarp();
    if (threadIdx.x % 32 == 0) copy_to_block(block, shared_address(values), Layout::total_bytes, barrier);
  }

  // Of the thread's rows, 8 apart: the same for a row's four lanes.
  __device__ float2* sums() const {
    const int lane = threadIdx.x % 32;
    return reinterpret_cast<float2*>(values - lane + columns / 2 * 32) + lane / 4;
  }
};

}  // namespace serveloop::kernels::cuda
