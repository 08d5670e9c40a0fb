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

using Pairs = std::uint32_t[kRowBlock][kChunk / 2];  // a chunk of A as BF16, two neighbours in 32 bits

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

// Rows [m0, m0 + rows) of A, chunk [k0, k0 + count), as pairs; exact, since Act::bf16 has rounded them.
void take_pairs(const Gemm& job, std::int64_t lda, int m0, int rows, int k0, int count, Pairs& pairs) {
  for (int m = 0; m < rows; ++m) {
    const float* a = static_cast<const float*>(job.a) + (m0 + m) * lda + k0;
    for (int i = 0; i < count / 2; ++i)
      pairs[m][i] = (bits_of_float(a[2 * i]) >> 16) | (bits_of_float(a[2 * i + 1]) & 0xffff0000u);
    if (count % 2 != 0) pairs[m][count / 2] = bits_of_float(a[count - 1]) >> 16;
  }
}

}  // namespace

void gemm_bf16(const Gemm& job) {
  const Packed& w = *job.w;
  const std::int64_t lda = static_cast<std::int64_t>(act_row_bytes(Act::bf16, w.k) / sizeof(float));
  const std::int64_t step = static_cast<std::int64_t>(panel_bytes(Type::bf16, w.k));
  alignas(64) Pairs pairs;
  for (int m0 = 0; m0 < job.m; m0 += kRowBlock) {
    const int rows = job.m - m0 < kRowBlock ? job.m - m0 : kRowBlock;
    for (int k0 = 0; k0 < w.k; k0 += kChunk) {
      const int count = w.k - k0 < kChunk ? w.k - k0 : kChunk;
      take_pairs(job, lda, m0, rows, k0, count, pairs);
      for (int n = job.n_begin; n < job.n_end;) {
        const std::uint8_t* panel = w.data + n / kPanel * step + std::int64_t{k0} * 32;
        const bool two = n + kPanel < job.n_end;
        for (int m = 0; m < rows; m += 8) {
          const int some = rows - m < 8 ? rows - m : 8;
          float* c = job.c + (m0 + m) * job.ldc + n;
          if (two)
            some_rows<8, 2>(some, pairs + m, panel, step, (count + 1) / 2, k0 == 0, c, job.ldc,
                            job.n_end - n);
          else
            some_rows<8, 1>(some, pairs + m, panel, step, (count + 1) / 2, k0 == 0, c, job.ldc,
                            job.n_end - n);
        }
        n += two ? 2 * kPanel : kPanel;
      }
    }
  }
  if (job.bias == nullptr) return;
  for (int m = 0; m < job.m; ++m)
    for (int n = job.n_begin; n < job.n_end; ++n) job.c[m * job.ldc + n] += job.bias[n];
}

}  // namespace serveloop::kernels::cpu::avx512_bf16
