// How two states of disjoint keys become one. All of attention goes through fold(), in ascending order of keys.
#pragma once

#include "device.cuh"

namespace serveloop::kernels::cuda {

// Four neighbouring columns of the weighted values of one row, with the row's maximum (log2) and sum.
struct FoldState {
  float m;
  float l;
  float4 o;
};

__device__ __forceinline__ float fold_term(float a, float factor_a, float b, float factor_b) {
  return __fmaf_rn(b, factor_b, __fmul_rn(a, factor_a));
}

// What two states are multiplied with when they become one of maximum `m`.
struct FoldFactors {
  float m, keep, take;
};

__device__ __forceinline__ FoldFactors fold_factors(float into_m, float next_m) {
  const float m = fmaxf(into_m, next_m);
  return {m, exp2_fast(into_m - m), exp2_fast(next_m - m)};
}

// Every state holds at least one key, so both maxima are finite unless a score was not.
__device__ __forceinline__ void fold(FoldState& into, const FoldState& next) {
  const auto [m, keep, take] = fold_factors(into.m, next.m);
  into.m = m;
  into.l = fold_term(into.l, keep, next.l, take);
  into.o.x = fold_term(into.o.x, keep, next.o.x, take);
  into.o.y = fold_term(into.o.y, keep, next.o.y, take);
  into.o.z = fold_term(into.o.z, keep, next.o.z, take);
  into.o.w = fold_term(into.o.w, keep, next.o.w, take);
}

// out: four elements, 8-byte aligned.
__device__ __forceinline__ void store_result(const FoldState& state, bf16* out) {
  const uint2 words = {pack_2(__fdiv_rn(state.o.x, state.l), __fdiv_rn(state.o.y, state.l)),
                       pack_2(__fdiv_rn(state.o.z, state.l), __fdiv_rn(state.o.w, state.l))};
  *reinterpret_cast<uint2*>(out) = words;
}

}  // namespace serveloop::kernels::cuda
