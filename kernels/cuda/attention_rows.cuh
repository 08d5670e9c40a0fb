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

// The groups before the current one: sums in registers, values in this thread's own slots of shared memory.
template <int columns>
struct Total {
  float m[2] = {-INFINITY, -INFINITY};
  float l[2];
  float* values;  // [columns / 2], consumer_threads apart

  // Takes a group in, and leaves the sum of both in it.
  __device__ __forceinline__ void fold_into(RowStates<columns>& group) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (m[half] == -INFINITY) continue;
      const FoldFactors factors = fold_factors_or_none(m[half], group.m[half]);
      group.m[half] = factors.m;
      group.l[half] = fold_term(l[half], factors.keep, group.l[half], factors.take);
#pragma unroll
      for (int i = 0; i < columns / 4; ++i) {
        const int at = i / 2 * 4 + half * 2 + i % 2;
        group.o[at] = fold_term(values[at * consumer_threads], factors.keep, group.o[at], factors.take);
      }
    }
  }

  __device__ __forceinline__ void keep(const RowStates<columns>& group) {
#pragma unroll
    for (int half = 0; half < 2; ++half) m[half] = group.m[half], l[half] = group.l[half];
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) values[i * consumer_threads] = group.o[i];
  }
};

}  // namespace serveloop::kernels::cuda
