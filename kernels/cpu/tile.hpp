// The float tile: rows of A times panels of W, for the matrix products and for attention. Each output is one chain of
// multiply-adds along k, ascending, whatever the tile's size; a lane is one column, so no sum crosses lanes.
#pragma once

#include <cstdint>

#include "kernels/cpu/simd.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

// Where a tile gets 16 columns of W for k, k + 1, ... kStep of them a load.
struct FloatRows {
  static constexpr int kStep = 1;
  const float* data = nullptr;
  std::int64_t stride = 16;  // elements from k to k + 1
  inline void load(int k, int v, F (&w)[1]) const {
    w[0] = SERVELOOP_ISA::load(data + k * stride + v * kLanes);
  }
};
struct Bf16Rows {
  static constexpr int kStep = 1;
  const std::uint16_t* data = nullptr;
  std::int64_t stride = 16;
  inline void load(int k, int v, F (&w)[1]) const { w[0] = load_bf16(data + k * stride + v * kLanes); }
};
struct F16Rows {
  static constexpr int kStep = 1;
  const std::uint16_t* data = nullptr;
  std::int64_t stride = 16;
  inline void load(int k, int v, F (&w)[1]) const { w[0] = load_f16(data + k * stride + v * kLanes); }
};
struct Bf16Pairs {  // [k / 2][16][2]
  static constexpr int kStep = 2;
  const std::uint16_t* data = nullptr;
  inline void load(int k, int v, F (&w)[2]) const {
    const I both = load_i(data + k * 16 + v * kLanes * 2);
    w[0] = from_bits(shift_left<16>(both));
    w[1] = from_bits(and_i(both, set1_i(static_cast<int>(0xffff0000u))));
  }
};

// Columns that are streamed from memory: the same place `bytes` further is asked for while they are read.
template <class W>
struct Streamed : W {
  std::int64_t bytes = 0;
  inline void ask_ahead(int k, int v) const {
    constexpr int vector_bytes = kLanes * W::kStep * static_cast<int>(sizeof(*W::data));
    if (v * vector_bytes % 64 != 0) return;  // the line is asked for already
    __builtin_prefetch(reinterpret_cast<const char*>(W::data + k * 16) + v * vector_bytes + bytes, 0, 2);
  }
};

enum class Into {
  store,  // c = sum
  add,    // c = c + sum
  chain   // the chain begins with c
};

// c[m][16 p + lane] from a [rows][k] and NP panels.
template <Into into, int MR, int NP, class W>
static inline void tile(const float* a, std::int64_t lda, const W (&w)[NP], int k, float* c,
                        std::int64_t ldc) {
  F acc[MR][NP][kVecs];
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v)
        acc[m][p][v] = into == Into::chain ? load(c + m * ldc + p * 16 + v * kLanes) : zero();

  const auto step = [&](int at, int count) __attribute__((always_inline)) {
    F x[NP][kVecs][W::kStep];
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        if constexpr (requires { w[p].ask_ahead(at, v); }) w[p].ask_ahead(at, v);
        w[p].load(at, v, x[p][v]);
      }
#pragma GCC unroll 2
    for (int s = 0; s < count; ++s)
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const F y = set1(a[m * lda + at + s]);
#pragma GCC unroll 4
        for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
          for (int v = 0; v < kVecs; ++v) acc[m][p][v] = fma(y, x[p][v][s], acc[m][p][v]);
      }
  };
  int at = 0;
  for (; at + W::kStep <= k; at += W::kStep) step(at, W::kStep);
  if (at < k) step(at, 1);

#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        float* to = c + m * ldc + p * 16 + v * kLanes;
        store(to, into == Into::add ? add(load(to), acc[m][p][v]) : acc[m][p][v]);
      }
}

// `count` panels, panel(i) hands out the i-th.
template <Into into, int MR, class Panels>
static void strip(const float* a, std::int64_t lda, const Panels& panel, int count, int k, float* c,
                  std::int64_t ldc) {
  using W = decltype(panel(0));
  constexpr int at_once = panels_at_once(MR);
  int p = 0;
  for (; p + at_once <= count; p += at_once) {
    W w[at_once];
    for (int i = 0; i < at_once; ++i) w[i] = panel(p + i);
    tile<into, MR, at_once>(a, lda, w, k, c + p * 16, ldc);
  }
  for (; p < count; ++p) {
    const W w[1] = {panel(p)};
    tile<into, MR, 1>(a, lda, w, k, c + p * 16, ldc);
  }
}

// 1 to kMaxRows rows.
template <Into into, class Panels>
static inline void strips(int rows, const float* a, std::int64_t lda, const Panels& panel, int count, int k,
                          float* c, std::int64_t ldc) {
  if (rows == 1) return strip<into, 1>(a, lda, panel, count, k, c, ldc);
  if (rows == 2) return strip<into, 2>(a, lda, panel, count, k, c, ldc);
  if constexpr (kMaxRows >= 6) {
    if (rows == 3) return strip<into, 3>(a, lda, panel, count, k, c, ldc);
    if (rows == 4) return strip<into, 4>(a, lda, panel, count, k, c, ldc);
    if (rows == 5) return strip<into, 5>(a, lda, panel, count, k, c, ldc);
    if (rows == 6) return strip<into, 6>(a, lda, panel, count, k, c, ldc);
  }
  if constexpr (kMaxRows >= 8) {
    if (rows == 7) return strip<into, 7>(a, lda, panel, count, k, c, ldc);
    if (rows == 8) return strip<into, 8>(a, lda, panel, count, k, c, ldc);
  }
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
