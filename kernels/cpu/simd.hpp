// Vectors of the instruction set that this file is compiled for. A kernel is written once on the names below and
// compiled once for each set, into the namespace SERVELOOP_ISA, so that the linker cannot mix the copies. Everything
// has internal linkage or lives in that namespace; standard templates are kept out for the same reason.
//
//   F, I, kLanes             floats and int32, kLanes of them; kVecs vectors hold one panel of 16
//   load_n, store_n, keep_n  the first n lanes (n <= 0: none, n >= kLanes: all); load_n gives zeros in the rest
//   fma(a, b, c)             a b + c
//   fused(a, b, c)           likewise, rounded once on every set
//   max(a, b), min(a, b)     b where either is NaN
//   if_less(a, b, yes, no)   lane by lane
//   load_bf16, load_f16      kLanes values, widened
//   max_i(a, b)              signed
//   sum_lanes, max_lanes     of one vector. Lanes are folded in halves: ((0 + 2) + (1 + 3)) and so on for more; the
//                            largest is any lane's where one is NaN
#pragma once

#ifndef SERVELOOP_ISA
#error "compiled once for each instruction set, with -DSERVELOOP_ISA=name"
#endif

#if defined(__AVX512F__)
#include "kernels/cpu/simd_avx512.hpp"
#elif defined(__AVX2__)
#include "kernels/cpu/simd_avx2.hpp"
#else
#include "kernels/cpu/simd_portable.hpp"
#endif

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

static constexpr int kVecs = 16 / kLanes;

// exp: x = n ln 2 + r (Cody and Waite, 1980), a Taylor polynomial of degree 7 on |r| <= ln 2 / 2, times 2^n in two
// exact steps. Below -86.5 zero, above 88.72283 infinity, NaN stays. Within 2 ulp.
static inline F exp(F x) {
  const F low = set1(-86.5f);
  const F high = set1(88.72283f);
  const F magic = set1(12582912.0f);  // 1.5 x 2^23: adding it rounds to an integer in the low bits
  const F shifted = add(mul(x, set1(1.44269504f)), magic);
  const F n = sub(shifted, magic);
  F r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  F p = set1(1.0f / 5040);
  p = fma(p, r, set1(1.0f / 720));
  p = fma(p, r, set1(1.0f / 120));
  p = fma(p, r, set1(1.0f / 24));
  p = fma(p, r, set1(1.0f / 6));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  const I exponent = add_i(bits(shifted), set1_i(126 - 0x4b400000));  // n - 1, biased
  const F y = mul(mul(p, from_bits(shift_left<23>(exponent))), set1(2.0f));
  return if_less(x, low, zero(), if_less(high, x, set1(__builtin_inff()), y));
}

// tanh: an odd polynomial for |x| < 0.625 (interpolated at Chebyshev points), else 1 - 2 / (exp(2 |x|) + 1).
static inline F tanh(F x) {
  const F a = abs(x);
  const F z = mul(x, x);
  F p = set1(-0.00609671416f);
  p = fma(p, z, set1(0.020997179f));
  p = fma(p, z, set1(-0.0538509096f));
  p = fma(p, z, set1(0.133327697f));
  p = fma(p, z, set1(-0.333333289f));
  const F small = fma(mul(p, z), x, x);
  const F large = sub(set1(1.0f), div(set1(2.0f), add(exp(add(a, a)), set1(1.0f))));
  return if_less(a, set1(0.625f), small, with_sign(large, x));
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
