// Plain C++ on vectors of four that the compiler maps to what the target has: what simd.hpp describes, without a fused
// multiply-add (it rounds twice).
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/scalar.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

typedef float F __attribute__((vector_size(16)));
typedef std::int32_t I __attribute__((vector_size(16)));
static constexpr int kLanes = 4;
static constexpr int kMaxRows = 2;  // of a float tile
static constexpr int kDotRows = 1;  // of an integer tile
static constexpr int panels_at_once(int rows) { return rows == 1 ? 2 : 1; }

static inline I lane_mask(int n) { return I{0, 1, 2, 3} < I{n, n, n, n}; }
static inline F set1(float x) { return F{x, x, x, x}; }
static inline F zero() { return set1(0.0f); }
static inline I set1_i(int x) { return I{x, x, x, x}; }
static inline F load(const float* p) {
  F x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
static inline void store(float* p, F x) { std::memcpy(p, &x, sizeof x); }
static inline F load_n(const float* p, int n) {
  if (n >= kLanes) return load(p);
  F x = zero();
  for (int i = 0; i < n; ++i) x[i] = p[i];
  return x;
}
static inline void store_n(float* p, F x, int n) {
  if (n >= kLanes) return store(p, x);
  for (int i = 0; i < n; ++i) p[i] = x[i];
}
static inline F keep_n(F x, F rest, int n) { return lane_mask(n) ? x : rest; }
static inline F add(F a, F b) { return a + b; }
static inline F sub(F a, F b) { return a - b; }
static inline F mul(F a, F b) { return a * b; }
static inline F div(F a, F b) { return a / b; }
static inline F fma(F a, F b, F c) { return a * b + c; }
static inline F fused(F a, F b, F c) {
  F out = c;
  for (int i = 0; i < kLanes; ++i) out[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return out;
}
static inline F max(F a, F b) { return a > b ? a : b; }
static inline F min(F a, F b) { return a < b ? a : b; }
static inline I bits(F x) { return __builtin_bit_cast(I, x); }
static inline F from_bits(I x) { return __builtin_bit_cast(F, x); }
static inline F abs(F a) { return from_bits(bits(a) & set1_i(0x7fffffff)); }
static inline F with_sign(F a, F sign) { return from_bits(bits(a) | (bits(sign) & set1_i(INT32_MIN))); }
static inline F if_less(F a, F b, F yes, F no) { return a < b ? yes : no; }
static inline bool any_less(F a, F b) {
  const I less = a < b;
  return (less[0] | less[1] | less[2] | less[3]) != 0;
}
static inline F to_float(I x) { return __builtin_convertvector(x, F); }
static inline I add_i(I a, I b) { return a + b; }
static inline I sub_i(I a, I b) { return a - b; }
static inline I and_i(I a, I b) { return a & b; }
template <int n>
static inline I shift_left(I x) {
  return x << n;
}
template <int n>
static inline I shift_right(I x) {
  return x >> n;
}
static inline I max_i(I a, I b) { return a > b ? a : b; }
static inline I load_i(const void* p) {
  I x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

static inline float sum_lanes(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
template <class Vector>
static inline auto max_lanes(Vector x) {
  const auto a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
  return a > b ? a : b;
}

static inline F load_bf16(const std::uint16_t* p) {
  return F{bf16_to_f32(p[0]), bf16_to_f32(p[1]), bf16_to_f32(p[2]), bf16_to_f32(p[3])};
}
static inline F load_f16(const std::uint16_t* p) {
  return F{f16_to_f32(p[0]), f16_to_f32(p[1]), f16_to_f32(p[2]), f16_to_f32(p[3])};
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
