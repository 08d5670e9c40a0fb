// AVX2, FMA, F16C: what simd.hpp describes, on 8 lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

using F = __m256;
using I = __m256i;
static constexpr int kLanes = 8;
static constexpr int kMaxRows = 6;  // of a float tile: 6 x 2 accumulators, 2 vectors of W, 1 of A
static constexpr int kDotRows = 4;  // of an integer tile
static constexpr int panels_at_once(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

static inline I lane_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline F zero() { return _mm256_setzero_ps(); }
static inline F set1(float x) { return _mm256_set1_ps(x); }
static inline I set1_i(int x) { return _mm256_set1_epi32(x); }
static inline F load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, F x) { _mm256_storeu_ps(p, x); }
static inline F load_n(const float* p, int n) { return _mm256_maskload_ps(p, lane_mask(n)); }
static inline void store_n(float* p, F x, int n) { _mm256_maskstore_ps(p, lane_mask(n), x); }
static inline F keep_n(F x, F rest, int n) {
  return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(lane_mask(n)));
}
static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
static inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
static inline F div(F a, F b) { return _mm256_div_ps(a, b); }
static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
static inline F fused(F a, F b, F c) { return fma(a, b, c); }
static inline F max(F a, F b) { return _mm256_max_ps(a, b); }
static inline F min(F a, F b) { return _mm256_min_ps(a, b); }
static inline F abs(F a) { return _mm256_andnot_ps(set1(-0.0f), a); }
static inline F with_sign(F a, F sign) { return _mm256_or_ps(a, _mm256_and_ps(set1(-0.0f), sign)); }
static inline F if_less(F a, F b, F yes, F no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline bool any_less(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)) != 0; }
static inline F to_float(I x) { return _mm256_cvtepi32_ps(x); }
static inline I bits(F x) { return _mm256_castps_si256(x); }
static inline F from_bits(I x) { return _mm256_castsi256_ps(x); }
static inline I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
static inline I sub_i(I a, I b) { return _mm256_sub_epi32(a, b); }
static inline I and_i(I a, I b) { return _mm256_and_si256(a, b); }
template <int n>
static inline I shift_left(I x) {
  return _mm256_slli_epi32(x, n);
}
template <int n>
static inline I shift_right(I x) {
  return _mm256_srai_epi32(x, n);
}
static inline I max_i(I a, I b) { return _mm256_max_epi32(a, b); }
static inline I load_i(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

static inline float sum_lanes(F x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float max_lanes(F x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
static inline int max_lanes(I x) {
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

static inline F load_bf16(const std::uint16_t* p) {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return from_bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
static inline F load_f16(const std::uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
