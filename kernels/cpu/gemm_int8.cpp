// Products of quantised weights with int8 activations. For each output and group, ascending: the exact integer sum, as
// float, times (weight scale times activation scale), onto the sum; for q4_1 then m times the activations' sum. Nothing
// else enters, so rows, ranges and threads cannot change a bit.
#include "kernels/cpu/dot.hpp"
#include "kernels/cpu/table.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {
namespace {

constexpr std::int64_t kRowBytesInCache =
    192 * 1024;  // rows of A that stay in the L2 cache while panels pass

constexpr int kAhead = 2048;  // bytes of weights that are asked for ahead

// Rows of prepared activations.
struct Rows {
  const std::uint8_t* data;
  std::int64_t stride;
  int groups;
  const std::int8_t* values() const { return reinterpret_cast<const std::int8_t*>(data); }
  const float* scales(int m) const {
    return reinterpret_cast<const float*>(data + m * stride + groups * kGroup);
  }
};

// c[MR][16] = rows times one panel, lanes below `columns` written.
template <Type type, int MR>
void panel_rows(const std::uint8_t* panel, const Rows& a, const float* bias, float* c, std::int64_t ldc,
                int columns) {
  const int groups = a.groups;
  F acc[MR][kVecs];
  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < kVecs; ++v) acc[m][v] = zero();

  for (int g = 0; g < groups; ++g, panel += group_bytes(type)) {
    for (int line = 0; line < group_bytes(type); line += 64) __builtin_prefetch(panel + kAhead + line);
    I sum[MR][kVecs];
    dot<type, MR>(panel + group_scale_bytes(type), a.values() + g * kGroup, a.stride, sum);
    const auto* d = reinterpret_cast<const std::uint16_t*>(panel);  // then, of q4_1, 16 m
    F weight_scale[kVecs];
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) weight_scale[v] = load_f16(d + v * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const float* scale = a.scales(m) + g;  // then scale times sum, then the sum as an int32
      const F act_scale = set1(scale[0]);
      I offset = set1_i(__builtin_bit_cast(std::int32_t, scale[2 * groups]));
      if constexpr (kOffsetBits < type >> 0) offset = shift_left<kOffsetBits<type>>(offset);
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        const I exact = kOffsetBits<type> < 0 ? sum[m][v] : sub_i(sum[m][v], offset);
        acc[m][v] = fma(to_float(exact), mul(weight_scale[v], act_scale), acc[m][v]);
        if constexpr (type == Type::q4_1)
          acc[m][v] = fma(load_f16(d + 16 + v * kLanes), set1(scale[groups]), acc[m][v]);
      }
    }
  }

  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < kVecs; ++v) {
      const int left = columns - v * kLanes;
      const F shift = bias != nullptr ? load_n(bias + v * kLanes, left) : zero();
      store_n(c + m * ldc + v * kLanes, bias != nullptr ? add(acc[m][v], shift) : acc[m][v], left);
    }
}

template <Type type, int MR>
void some_rows(int rows, const std::uint8_t* panel, const Rows& a, const float* bias, float* c,
               std::int64_t ldc, int columns) {
  if (rows == MR) return panel_rows<type, MR>(panel, a, bias, c, ldc, columns);
  if constexpr (MR > 1) some_rows<type, MR - 1>(rows, panel, a, bias, c, ldc, columns);
}

template <Type type>
void product(const Gemm& job) {
  const Packed& w = *job.w;
  const std::int64_t stride = static_cast<std::int64_t>(act_row_bytes(Act::int8, w.k));
  const std::int64_t step = static_cast<std::int64_t>(panel_bytes(type, w.k));
  const int fit = static_cast<int>(kRowBytesInCache / stride) / kDotRows * kDotRows;
  const int block = fit > kDotRows ? fit : kDotRows;
  for (int m0 = 0; m0 < job.m; m0 += block) {
    const int m1 = job.m - m0 < block ? job.m : m0 + block;
    for (int n = job.n_begin; n < job.n_end; n += kPanel) {
      const std::uint8_t* panel = w.data + n / kPanel * step;
      const int columns = w.n - n < kPanel ? w.n - n : kPanel;
      for (int m = m0; m < m1; m += kDotRows) {
        const Rows a{static_cast<const std::uint8_t*>(job.a) + m * stride, stride, w.k / kGroup};
        some_rows<type, kDotRows>(m1 - m < kDotRows ? m1 - m : kDotRows, panel, a,
                                  job.bias != nullptr ? job.bias + n : nullptr, job.c + m * job.ldc + n,
                                  job.ldc, columns);
      }
    }
  }
}

}  // namespace

void gemm_int8(const Gemm& job) {
  switch (job.w->type) {
    case Type::q8_0: return product<Type::q8_0>(job);
    case Type::q4_0: return product<Type::q4_0>(job);
    case Type::q4_1: return product<Type::q4_1>(job);
    default: __builtin_trap();  // a programmer's error: int8 activations need quantised weights
  }
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
