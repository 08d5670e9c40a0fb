// Products in F32, for every weight type. Along K in chunks of 256 from 0: a chunk is one chain of multiply-adds from
// zero; the chunks are added in ascending order, then the bias. Small batches stream the weights as they lie; larger
// ones unpack a chunk of a panel once for many rows, which gives the same numbers.
#include "kernels/cpu/table.hpp"
#include "kernels/cpu/tile.hpp"
#include "kernels/cpu/unpack.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

constexpr int kChunk = 256;
constexpr int kRowBlock = 240;    // rows of A whose chunk (240 KiB) stays in the L2 cache while panels pass
constexpr int kDirectRows = 32;   // up to here 16-bit weights are widened in the tile
constexpr int kPanelsAtOnce = 4;  // panels of a strip

// Part of a product: rows [m0, m1), chunk [k0, k0 + count).
struct Part {
  const Gemm* job;
  int m0, m1, k0, count;
};

template <class Panels>
void rows_times(const Part& part, const Panels& panel, int panels, int n, std::int64_t lda, float* c,
                std::int64_t ldc) {
  for (int m = part.m0; m < part.m1; m += kMaxRows) {
    const int rows = part.m1 - m < kMaxRows ? part.m1 - m : kMaxRows;
    const float* a = static_cast<const float*>(part.job->a) + m * lda + part.k0;
    float* to = c + (m - part.m0) * ldc + n;
    if (part.k0 == 0)
      strips<Into::store>(rows, a, lda, panel, panels, part.count, to, ldc);
    else
      strips<Into::add>(rows, a, lda, panel, panels, part.count, to, ldc);
  }
}

// The last panel where N is no multiple of 16: through a buffer, so that nothing beyond column n is touched.
template <class Panels>
void ragged_panel(const Part& part, const Panels& panel, int n, int columns, std::int64_t lda) {
  alignas(64) float buffer[kMaxRows * 16];
  const Gemm& job = *part.job;
  for (int m = part.m0; m < part.m1; m += kMaxRows) {
    Part few = part;
    few.m0 = m;
    few.m1 = part.m1 - m < kMaxRows ? part.m1 : m + kMaxRows;
    for (int row = m; row < few.m1; ++row)
      for (int i = 0; i < 16; ++i)
        buffer[(row - m) * 16 + i] = part.k0 > 0 && i < columns ? job.c[row * job.ldc + n + i] : 0.0f;
    rows_times(few, panel, 1, 0, lda, buffer, 16);
    for (int row = m; row < few.m1; ++row)
      for (int i = 0; i < columns; ++i) job.c[row * job.ldc + n + i] = buffer[(row - m) * 16 + i];
  }
}

// All panels of the range, `group` at a time; panels_at(n, count) makes them ready and hands out the first as panel(0).
template <class PanelsAt>
void all_panels(const Part& part, int group, std::int64_t lda, const PanelsAt& panels_at) {
  const Gemm& job = *part.job;
  const int whole = job.n_end == job.w->n ? job.n_end / kPanel * kPanel : job.n_end;
  for (int n = job.n_begin; n < whole; n += group * kPanel) {
    const int count = (whole - n) / kPanel < group ? (whole - n) / kPanel : group;
    rows_times(part, panels_at(n, count), count, n, lda, job.c + part.m0 * job.ldc, job.ldc);
  }
  if (whole < job.n_end) ragged_panel(part, panels_at(whole, 1), whole, job.n_end - whole, lda);
}

template <class W, class Element>
void direct(const Part& part, std::int64_t lda) {
  const Packed& w = *part.job->w;
  const std::int64_t step = static_cast<std::int64_t>(panel_bytes(w.type, w.k) / sizeof(Element));
  all_panels(part, kPanelsAtOnce, lda, [&](int n, int) {
    const Element* first =
        reinterpret_cast<const Element*>(w.data) + n / kPanel * step + std::int64_t{part.k0} * 16;
    return [first, step](int p) {
      Streamed<W> panel;
      panel.data = first + p * step;
      panel.bytes = kPanelsAtOnce * step * static_cast<std::int64_t>(sizeof(Element));  // the next strip
      return panel;
    };
  });
}

void unpacked(const Part& part, std::int64_t lda) {
  constexpr int group = panels_at_once(kMaxRows);
  alignas(64) float scratch[group * kChunk * 16];
  const Packed& w = *part.job->w;
  const std::int64_t step = static_cast<std::int64_t>(panel_bytes(w.type, w.k));
  all_panels(part, group, lda, [&](int n, int count) {
    for (int p = 0; p < count; ++p)
      unpack(w.type, w.data + (n / kPanel + p) * step, part.k0, part.count, scratch + p * kChunk * 16);
    const float* first = scratch;
    return [first](int p) { return FloatRows{first + p * kChunk * 16, 16}; };
  });
}

void multiply(const Part& part, std::int64_t lda) {
  const Type type = part.job->w->type;
  const bool few = part.job->m <= kDirectRows;
  if (type == Type::f32) return direct<FloatRows, float>(part, lda);
  if (type == Type::bf16 && few) return direct<Bf16Pairs, std::uint16_t>(part, lda);
  if (type == Type::f16 && few) return direct<F16Rows, std::uint16_t>(part, lda);
  unpacked(part, lda);
}

}  // namespace

void gemm_float(const Gemm& job) {
  const int k = job.w->k;
  const std::int64_t lda = static_cast<std::int64_t>(act_row_bytes(Act::f32, k) / sizeof(float));
  for (int m0 = 0; m0 < job.m; m0 += kRowBlock) {
    const int m1 = job.m - m0 < kRowBlock ? job.m : m0 + kRowBlock;
    // Few rows read the weights from end to end, strip by strip; many keep their chunk of A in the cache.
    const int columns = job.m <= kDirectRows ? kPanelsAtOnce * kPanel : job.n_end - job.n_begin;
    for (int n = job.n_begin; n < job.n_end; n += columns) {
      Gemm strip = job;
      strip.n_begin = n;
      strip.n_end = job.n_end - n < columns ? job.n_end : n + columns;
      for (int k0 = 0; k0 < k; k0 += kChunk)
        multiply(Part{&strip, m0, m1, k0, k - k0 < kChunk ? k - k0 : kChunk}, lda);
    }
  }
  if (job.bias == nullptr) return;
  for (int m = 0; m < job.m; ++m)
    for (int n = job.n_begin; n < job.n_end; ++n) job.c[m * job.ldc + n] += job.bias[n];
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
