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

// A leaf is folded into its group in steps, for which there is time at different moments: fold_term() of all of them.
// First one half of the rows of the group is scaled to the larger of its maximum and that of the leaf, `m`; returns what
// the leaf's sums and values are to be multiplied with.
template <int columns>
__device__ __forceinline__ float scale_half(RowStates<columns>& group, int half, float m) {
  const FoldFactors factors = fold_factors_or_none(group.m[half], m);
  group.m[half] = factors.m;
  group.l[half] = __fmul_rn(group.l[half], factors.keep);
#pragma unroll
  for (int i = 0; i < columns / 4; ++i) {
    float& value = group.o[i / 2 * 4 + half * 2 + i % 2];
    value = __fmul_rn(value, factors.keep);
  }
  return factors.take;
}

// Then the leaf's sums are added, of the thread alone as yet,
template <int columns>
__device__ __forceinline__ void add_sums(RowStates<columns>& group, const float (&take)[2],
                                         const float (&lane_l)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    group.l[half] = __fmaf_rn(row_sum(lane_l[half]), take[half], group.l[half]);
}

// and its values.
template <int columns>
__device__ __forceinline__ void add_values(RowStates<columns>& group, const float (&take)[2],
                                           const float (&o)[columns / 2]) {
#pragma unroll
  for (int i = 0; i < columns / 2; ++i) group.o[i] = __fmaf_rn(o[i], take[i / 2 % 2], group.o[i]);
}

// The groups before the current one, of one warp's rows, in shared memory: values in this thread's own slots, maximum and
// sum of a row for its four lanes. Where the blocks of a cluster share a tile, group after group is the next block's:
// each waits for what the groups before left, folds its own on top and hands that on, so the order of the fold is that of
// one block. What a block hands on has arrived before anything comes back to it: one place for both is enough.
template <int head_dim>
struct Total {
  using Layout = PrefillLayout<head_dim>;
  static constexpr int columns = Layout::columns;
  float4* values;         // [columns / 8], 32 apart: two columns of both rows each
  std::uint32_t barrier;  // for what the block before hands on
  int phase = 0;

  __device__ explicit Total(char* block_memory) {
    const int warp = threadIdx.x / 32;
    values = reinterpret_cast<float4*>(block_memory + Layout::total_at + warp * Layout::total_bytes) +
             threadIdx.x % 32;
    barrier = shared_address(block_memory) + Layout::total_barriers_at + warp * 8;
  }

  // Takes a group in, and leaves the sum of both in it. There are groups before it.
  __device__ __forceinline__ void fold_into(RowStates<columns>& group) const {
    FoldFactors factors[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 before = sums()[half * 8];
      factors[half] = fold_factors_or_none(before.x, group.m[half]);
      // A row without a key before: its zeros, as minus zeros, leave the group as it is.
      if (before.x == -INFINITY) factors[half] = {group.m[half], -0.0f, 1.0f};
      group.m[half] = factors[half].m;
      group.l[half] = fold_term(before.y, factors[half].keep, group.l[half], factors[half].take);
    }
#pragma unroll
    for (int i = 0; i < columns / 8; ++i) {
      const float4 before = values[i * 32];
      float* const now = group.o + i * 4;
      now[0] = fold_term(before.x, factors[0].keep, now[0], factors[0].take);
      now[1] = fold_term(before.y, factors[0].keep, now[1], factors[0].take);
      now[2] = fold_term(before.z, factors[1].keep, now[2], factors[1].take);
      now[3] = fold_term(before.w, factors[1].keep, now[3], factors[1].take);
    }
  }

  __device__ __forceinline__ void keep(const RowStates<columns>& group) {
    __syncwarp();  // others of the row have read its sums
    if (threadIdx.x % 4 == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) sums()[half * 8] = {group.m[half], group.l[half]};
    }
#pragma unroll
    for (int i = 0; i < columns / 8; ++i) {
      const float* const now = group.o + i * 4;
      values[i * 32] = {now[0], now[1], now[2], now[3]};
    }
    __syncwarp();
  }

  // Waits for what the block before hands on.
  __device__ void receive() {
    if (threadIdx.x % 32 == 0) barrier_arrive_expecting(barrier, Layout::total_bytes);
    __syncwarp();  // what the warp waits for needs that arrival
    barrier_wait(barrier, phase);
    phase ^= 1;
  }

  // Gives what is kept to another block of the cluster.
  __device__ void hand_on(int block) {
    fence_async_proxy();
    __syncwarp();
    if (threadIdx.x % 32 == 0) copy_to_block(block, shared_address(values), Layout::total_bytes, barrier);
  }

  // Of the thread's rows, 8 apart: the same for a row's four lanes.
  __device__ float2* sums() const {
    const int lane = threadIdx.x % 32;
    return reinterpret_cast<float2*>(values - lane + columns / 8 * 32) + lane / 4;
  }
};

}  // namespace serveloop::kernels::cuda
