// AVX-512 F, BW, VL, DQ: what simd.hpp describes, on 16 lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

using F = __m512;
using I = __m512i;
static constexpr int kLanes = 16;
static constexpr int kMaxRows = 8;  // of a float tile: 8 x 2 accumulators
static constexpr int kDotRows = 8;  // of an integer tile
static constexpr int panels_at_once(int rows) { return rows == 1 ? 4 : 2; }

static inline __mmask16 lane_mask(int n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1u);
}
static inline F zero() { return _mm512_setzero_ps(); }
static inline F set1(float x) { return _mm512_set1_ps(x); }
static inline I set1_i(int x) { return _mm512_set1_epi32(x); }
static inline F load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
static inline F load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(lane_mask(n), p); }
static inline void store_n(float* p, F x, int n) { _mm512_mask_storeu_ps(p, lane_mask(n), x); }
static inline F keep_n(F x, F rest, int n) { return _mm512_mask_blend_ps(lane_mask(n), rest, x); }
static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
static inline F div(F a, F b) { return _mm512_div_ps(a, b); }
static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
static inline F fused(F a, F b, F c) { return fma(a, b, c); }
static inline F max(F a, F b) { return _mm512_max_ps(a, b); }
static inline F min(F a, F b) { return _mm512_min_ps(a, b); }
static inline F abs(F a) { return _mm512_andnot_ps(set1(-0.0f), a); }
static inline F with_sign(F a, F sign) { return _mm512_or_ps(a, _mm512_and_ps(set1(-0.0f), sign)); }
static inline F if_less(F a, F b, F yes, F no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline bool any_less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0; }
static inline F to_float(I x) { return _mm512_cvtepi32_ps(x); }
static inline I bits(F x) { return _mm512_castps_si512(x); }
static inline F from_bits(I x) { return _mm512_castsi512_ps(x); }
static inline I add_i(I a, I b) { return _mm512_add_epi32(a, b); }
static inline I sub_i(I a, I b) { return _mm512_sub_epi32(a, b); }
static inline I and_i(I a, I b) { return _mm512_and_si512(a, b); }
template <int n>
static inline I shift_left(I x) {
  return _mm512_slli_epi32(x, n);
}
template <int n>
static inline I shift_right(I x) {
  return _mm512_srai_epi32(x, n);
}
static inline I max_i(I a, I b) { return _mm512_max_epi32(a, b); }
static inline I load_i(const void* p) { return _mm512_loadu_si512(p); }

static inline float sum_lanes(F x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float max_lanes(F x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
static inline int max_lanes(I x) {
  const __m256i eight = _mm256_max_epi32(_mm512_castsi512_si256(x), _mm512_extracti32x8_epi32(x, 1));
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

static inline F load_bf16(const std::uint16_t* p) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return from_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
static inline F load_f16(const std::uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
