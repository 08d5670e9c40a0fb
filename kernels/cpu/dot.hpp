// Exact integer sums of one group: 32 elements along K of 16 rows of W (one panel, one group) times int8 rows of A.
// out[m] holds one row of W a lane. What is summed is (q + offset) a, where q is what the format means, and
// offset is 2^kOffsetBits (none: kOffsetBits < 0); the caller takes offset times the sum of a away. Every way of summing
// gives the same integers.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/formats.hpp"
#include "kernels/cpu/simd.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

static inline int load_four(const std::int8_t* p) {
  int x;
  std::memcpy(&x, p, 4);
  return x;
}

#if defined(__AVX512VNNI__)

template <Type type>
static constexpr int kOffsetBits = type == Type::q4_0   ? 3
                                   : type == Type::q8_0 ? 7
                                                        : -1;

// vpdpbusd takes unsigned times signed: the nibbles as they are, int8 weights with their sign bit flipped.
template <Type type, int MR>
static inline void dot(const std::uint8_t* q, const std::int8_t* a, std::int64_t lda, I (&out)[MR][1]) {
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) out[m][0] = _mm512_setzero_si512();
  const auto take = [&](I w, int at) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m)
      out[m][0] = _mm512_dpbusd_epi32(out[m][0], w, set1_i(load_four(a + m * lda + at)));
  };
  if constexpr (type == Type::q8_0) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) take(_mm512_xor_si512(load_i(q + j * 64), _mm512_set1_epi8(-128)), 4 * j);
  } else {
    const I nibble = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const I both = load_i(q + j * 64);
      take(and_i(both, nibble), 4 * j);
      take(and_i(_mm512_srli_epi16(both, 4), nibble), 16 + 4 * j);
    }
  }
}

#elif defined(__AVX2__)

// Keeps a sum in its register here: left alone, GCC 12 makes all products first, spills them, and adds them last.
static inline void settle(I& x) { asm("" : "+x"(x)); }

template <Type type>
static constexpr int kOffsetBits = type == Type::q4_0 ? 3 : -1;

// Nibbles: vpmaddubsw sums pairs in int16; a group's eight pair sums stay below 8 * 2 * 15 * 128 = 30,720.
// int8: |w| times a with w's sign; a pair stays below 2 * 128 * 127 = 32,512 (prepared activations hold no -128, but
// where a row holds NaN, and its scale is NaN then).
template <Type type, int MR>
static inline void dot(const std::uint8_t* q, const std::int8_t* a, std::int64_t lda, I (&out)[MR][2]) {
  const I ones = _mm256_set1_epi16(1);
  I sum[MR][2];
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) sum[m][0] = sum[m][1] = _mm256_setzero_si256();
  if constexpr (type == Type::q8_0) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const I w[2] = {load_i(q + j * 64), load_i(q + j * 64 + 32)};
      const I size[2] = {_mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1])};
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const I x = set1_i(load_four(a + m * lda + 4 * j));
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          const I pairs = _mm256_maddubs_epi16(size[v], _mm256_sign_epi8(x, w[v]));
          sum[m][v] = add_i(sum[m][v], _mm256_madd_epi16(pairs, ones));
          settle(sum[m][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) out[m][0] = sum[m][0], out[m][1] = sum[m][1];
  } else {
    const I nibble = _mm256_set1_epi8(15);
    const auto take = [&](I w0, I w1, int at) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const I x = set1_i(load_four(a + m * lda + at));
        sum[m][0] = _mm256_add_epi16(sum[m][0], _mm256_maddubs_epi16(w0, x));
        sum[m][1] = _mm256_add_epi16(sum[m][1], _mm256_maddubs_epi16(w1, x));
        settle(sum[m][0]);
        settle(sum[m][1]);
      }
    };
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const I w0 = load_i(q + j * 64);
      const I w1 = load_i(q + j * 64 + 32);
      take(and_i(w0, nibble), and_i(w1, nibble), 4 * j);
      take(and_i(_mm256_srli_epi16(w0, 4), nibble), and_i(_mm256_srli_epi16(w1, 4), nibble), 16 + 4 * j);
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      out[m][0] = _mm256_madd_epi16(sum[m][0], ones);
      out[m][1] = _mm256_madd_epi16(sum[m][1], ones);
    }
  }
}

#else

template <Type type>
static constexpr int kOffsetBits = type == Type::q4_0 ? 3 : -1;

template <Type type, int MR>
static inline void dot(const std::uint8_t* q, const std::int8_t* a, std::int64_t lda, I (&out)[MR][kVecs]) {
  for (int m = 0; m < MR; ++m) {
    std::int32_t sum[16] = {};
    const std::int8_t* x = a + m * lda;
    for (int j = 0; j < (type == Type::q8_0 ? 8 : 4); ++j)
      for (int row = 0; row < 16; ++row)
        for (int i = 0; i < 4; ++i) {
          const std::uint8_t w = q[j * 64 + row * 4 + i];
          if constexpr (type == Type::q8_0)
            sum[row] += static_cast<std::int8_t>(w) * x[4 * j + i];
          else
            sum[row] += (w & 15) * x[4 * j + i] + (w >> 4) * x[16 + 4 * j + i];
        }
    std::memcpy(out[m], sum, sizeof sum);
  }
}

#endif

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
