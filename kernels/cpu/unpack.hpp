// A chunk of one panel, dequantised: dst[k][16] F32 for k in [k0, k0 + count), the values that dequantise_row() gives.
// k0 is a multiple of 32.
#pragma once

#include <cstdint>

#include "kernels/cpu/formats.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/tile.hpp"

namespace serveloop::kernels::cpu::SERVELOOP_ISA {

template <Type type>
static inline void unpack_nibbles(const std::uint8_t* panel, int k0, int count, float* dst) {
  panel += k0 / kGroup * group_bytes(type);
  for (int g = 0; g < count / kGroup; ++g, panel += group_bytes(type), dst += kGroup * 16) {
    const auto* d = reinterpret_cast<const std::uint16_t*>(panel);
    const std::uint8_t* q = panel + group_scale_bytes(type);
    for (int v = 0; v < kVecs; ++v) {
      const F scale = load_f16(d + v * kLanes);
      const F low = type == Type::q4_1 ? load_f16(d + 16 + v * kLanes) : zero();
      const auto put = [&](I x, int element) __attribute__((always_inline)) {
        const F value = to_float(and_i(x, set1_i(15)));
        store(dst + element * 16 + v * kLanes,
              type == Type::q4_1 ? fma(value, scale, low) : mul(sub(value, set1(8.0f)), scale));
      };
      for (int j = 0; j < 4; ++j) {
        const I both = load_i(q + j * 64 + v * kLanes * 4);
        put(both, 4 * j);
        put(shift_right<4>(both), 16 + 4 * j);
        put(shift_right<8>(both), 4 * j + 1);
        put(shift_right<12>(both), 16 + 4 * j + 1);
        put(shift_right<16>(both), 4 * j + 2);
        put(shift_right<20>(both), 16 + 4 * j + 2);
        put(shift_right<24>(both), 4 * j + 3);
        put(shift_right<28>(both), 16 + 4 * j + 3);
      }
    }
  }
}

static inline void unpack_int8(const std::uint8_t* panel, int k0, int count, float* dst) {
  panel += k0 / kGroup * group_bytes(Type::q8_0);
  for (int g = 0; g < count / kGroup; ++g, panel += group_bytes(Type::q8_0), dst += kGroup * 16) {
    const auto* d = reinterpret_cast<const std::uint16_t*>(panel);
    const std::uint8_t* q = panel + group_scale_bytes(Type::q8_0);
    for (int v = 0; v < kVecs; ++v) {
      const F scale = load_f16(d + v * kLanes);
      for (int j = 0; j < 8; ++j) {
        const I four = load_i(q + j * 64 + v * kLanes * 4);
        float* to = dst + 4 * j * 16 + v * kLanes;
        store(to, mul(to_float(shift_right<24>(shift_left<24>(four))), scale));
        store(to + 16, mul(to_float(shift_right<24>(shift_left<16>(four))), scale));
        store(to + 32, mul(to_float(shift_right<24>(shift_left<8>(four))), scale));
        store(to + 48, mul(to_float(shift_right<24>(four)), scale));
      }
    }
  }
}

// Any loader's columns.
template <class W>
static inline void unpack_rows(const W& w, int count, float* dst) {
  int k = 0;
  for (; k + W::kStep <= count; k += W::kStep)
    for (int v = 0; v < kVecs; ++v) {
      F x[W::kStep];
      w.load(k, v, x);
      for (int s = 0; s < W::kStep; ++s) store(dst + (k + s) * 16 + v * kLanes, x[s]);
    }
  for (; k < count; ++k)  // the odd last element of pairs
    for (int v = 0; v < kVecs; ++v) {
      F x[W::kStep];
      w.load(k, v, x);
      store(dst + k * 16 + v * kLanes, x[0]);
    }
}

static inline void unpack(Type type, const std::uint8_t* panel, int k0, int count, float* dst) {
  const auto* halves = reinterpret_cast<const std::uint16_t*>(panel) + std::int64_t{k0} * 16;
  switch (type) {
    case Type::f32:
      return unpack_rows(FloatRows{reinterpret_cast<const float*>(panel) + std::int64_t{k0} * 16}, count,
                         dst);
    case Type::bf16: return unpack_rows(Bf16Pairs{halves}, count, dst);
    case Type::f16: return unpack_rows(F16Rows{halves}, count, dst);
    case Type::q8_0: return unpack_int8(panel, k0, count, dst);
    case Type::q4_0: return unpack_nibbles<Type::q4_0>(panel, k0, count, dst);
    case Type::q4_1: return unpack_nibbles<Type::q4_1>(panel, k0, count, dst);
  }
}

}  // namespace serveloop::kernels::cpu::SERVELOOP_ISA
