// BF16 weights times BF16 activations with AVX-512's dot products of pairs: along K in chunks of 256 from 0, a chunk is
// one chain of pairs from zero, the chunks are added in ascending order, then the bias. vdpbf16ps takes subnormal
// inputs as zero and flushes subnormal results.
#include <cstring>

#include "kernels/cpu/scalar.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu::avx512_bf16 {
namespace {

using namespace SERVELOOP_ISA;  // NOLINT(google-build-using-namespace): vectors of this file's own set

constexpr int kChunk = 256;
constexpr int kRowBlock = 240;

using Pairs = std::uint32_t[kRowBlock][kChunk / 2];  // chunks of A's rows as BF16, two neighbours in 32 bits

// c[MR][16 NP] from pair rows a and NP panels `step` bytes apart, `pairs` pairs along K.
template <int MR, int NP>
void tile(const std::uint32_t (*a)[kChunk / 2], const std::uint8_t* w, std::int64_t step, int pairs,
          bool first, float* c, std::int64_t ldc, int columns) {
  F acc[MR][NP];
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p) acc[m][p] = zero();
  for (int i = 0; i < pairs; ++i) {
    __m512bh x[NP];
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p)
      x[p] = __builtin_bit_cast(__m512bh, load_i(w + p * step + std::int64_t{i} * 64));
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const __m512bh y = __builtin_bit_cast(__m512bh, set1_i(static_cast<int>(a[m][i])));
#pragma GCC unroll 4
      for (int p = 0; p < NP; ++p) acc[m][p] = _mm512_dpbf16_ps(acc[m][p], y, x[p]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int p = 0; p < NP; ++p) {
      float* to = c + m * ldc + p * 16;
      const int left = columns - p * 16;
      store_n(to, first ? acc[m][p] : add(load_n(to, left), acc[m][p]), left);
    }
}

template <int MR, int NP>
void some_rows(int rows, const std::uint32_t (*a)[kChunk / 2], const std::uint8_t* w, std::int64_t step,
               int pairs, bool first, float* c, std::int64_t ldc, int columns) {
  if (rows == MR) return tile<MR, NP>(a, w, step, pairs, first, c, ldc, columns);
  if constexpr (MR > 1) some_rows<MR - 1, NP>(rows, a, w, step, pairs, first, c, ldc, columns);
}

// Rows [m0, m0 + rows) of A, its chunks from k_begin to k_end, as pairs: all rows of a chunk, then those of the next.
struct Rows {
  int m0, rows, k_begin, k_end;
  alignas(64) Pairs pairs;

  // Exact, since Act::bf16 has rounded them.
  void take(const Gemm& job) {
    const std::int64_t lda = static_cast<std::int64_t>(act_row_bytes(Act::bf16, job.w->k) / sizeof(float));
    std::uint32_t(*to)[kChunk / 2] = pairs;
    for (int k0 = k_begin; k0 < k_end; k0 += kChunk)
      for (int m = 0; m < rows; ++m, ++to) {
        const float* a = static_cast<const float*>(job.a) + (m0 + m) * lda + k0;
        const int some = count(k0);
        for (int i = 0; i < some / 2; ++i)
          (*to)[i] = (bits_of_float(a[2 * i]) >> 16) | (bits_of_float(a[2 * i + 1]) & 0xffff0000u);
        if (some % 2 != 0) (*to)[some / 2] = bits_of_float(a[some - 1]) >> 16;
      }
  }
  int count(int k0) const { return k_end - k0 < kChunk ? k_end - k0 : kChunk; }
};

// Them times NP panels from column n on, which are read from end to end.
template <int NP>
void times_panels(const Gemm& job, const Rows& a, int n) {
  const std::int64_t step = static_cast<std::int64_t>(panel_bytes(Type::bf16, job.w->k));
  const std::uint32_t(*pairs)[kChunk / 2] = a.pairs;
  for (int k0 = a.k_begin; k0 < a.k_end; k0 += kChunk, pairs += a.rows) {
    const std::uint8_t* panel = job.w->data + n / kPanel * step + std::int64_t{k0} * 32;
    for (int m = 0; m < a.rows; m += 8)
      some_rows<8, NP>(a.rows - m < 8 ? a.rows - m : 8, pairs + m, panel, step, (a.count(k0) + 1) / 2,
                       k0 == 0, job.c + (a.m0 + m) * job.ldc + n, job.ldc, job.n_end - n);
  }
}

}  // namespace

void gemm_bf16(const Gemm& job) {
  Rows a;
  for (a.m0 = 0; a.m0 < job.m; a.m0 += kRowBlock) {
    a.rows = job.m - a.m0 < kRowBlock ? job.m - a.m0 : kRowBlock;
    const int depth =
        kRowBlock / a.rows * kChunk;  // many chunks of few rows: the fewer, the longer the reads
    for (a.k_begin = 0; a.k_begin < job.w->k; a.k_begin = a.k_end) {
      a.k_end = job.w->k - a.k_begin < depth ? job.w->k : a.k_begin + depth;
      a.take(job);
      int n = job.n_begin;
      for (; n + kPanel < job.n_end; n += 2 * kPanel) times_panels<2>(job, a, n);
      if (n < job.n_end) times_panels<1>(job, a, n);
    }
  }
  if (job.bias == nullptr) return;
  for (int m = 0; m < job.m; ++m)
    for (int n = job.n_begin; n < job.n_end; ++n) job.c[m * job.ldc + n] += job.bias[n];
}

}  // namespace serveloop::kernels::cpu::avx512_bf16
