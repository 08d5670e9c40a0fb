// One warp, one leaf: the state (maximum, sum, weighted values) of up to 128 keys for up to 16 query heads.
//
// Keys and values stream through a ring of units, 16 tokens of K or of V each: first all K, then all V. Lane i
// holds rows i / 4 and i / 4 + 8 of the scores and the output, as multiply_add() lays them out. A unit without a
// visible key is skipped: it would add zeros.
#pragma once

#include <cmath>

#include "attention.hpp"
#include "device.cuh"

namespace serveloop::kernels::cuda {

inline constexpr int unit_tokens = 16;
inline constexpr int leaf_units = attention_leaf_tokens / unit_tokens;
inline constexpr int group_leaves = attention_group_tokens / attention_leaf_tokens;
inline constexpr float log2_e = 1.4426950408889634f;

template <int head_dim>
inline constexpr int unit_bytes = unit_tokens* head_dim * 2;

// What one warp works on. Offsets are elements from the start of k or v.
struct Leaf {
  const bf16* k;
  const bf16* v;
  std::int64_t unit_offset;  // of lane i's unit (i < leaf_units): its head and first token; other lanes: 0
  int start;                 // absolute position of the leaf
  int first, last;           // visible positions, both inclusive
  int first_unit, end_unit;  // units with a visible key
};

// The state of 16 rows; m in units of log2. Rows past the pack's heads hold a harmless state.
template <int head_dim>
struct LeafState {
  float m[2];
  float l[2];
  float o[head_dim / 8][4];
};

// slots: units in the ring, all but one of them under way.
template <int head_dim, int slots>
class UnitRing {
 public:
  __device__ UnitRing(const Leaf& leaf, std::uint32_t memory) : leaf_(leaf), memory_(memory) {
    for (int i = 0; i < slots - 1; ++i) start_next();
  }

  // The address of the next unit, whole and visible to all lanes.
  __device__ std::uint32_t next() {
    copy_async_wait<slots - 2>();
    __syncwarp();
    start_next();
    const std::uint32_t unit = memory_ + taken_ * unit_bytes<head_dim>;
    taken_ = taken_ + 1 == slots ? 0 : taken_ + 1;
    return unit;
  }

 private:
  // 16-byte chunks of a row are permuted so that the eight rows of a matrix lie in different banks.
  __device__ void start_next() {
    const int units = leaf_.end_unit - leaf_.first_unit;
    if (started_ < 2 * units) {
      const bool value = started_ >= units;
      const int unit = leaf_.first_unit + (value ? started_ - units : started_);
      const std::int64_t offset = __shfl_sync(0xffffffffu, leaf_.unit_offset, unit);
      const bf16* from = (value ? leaf_.v : leaf_.k) + offset;
      const int position = leaf_.start + unit * unit_tokens;
      const std::uint32_t to = memory_ + slot_ * unit_bytes<head_dim>;
      constexpr int row_chunks = head_dim / 8;
#pragma unroll
      for (int i = 0; i < row_chunks / 2; ++i) {
        const int chunk = i * 32 + static_cast<int>(threadIdx.x % 32);
        const int row = chunk / row_chunks;
        const int column = chunk % row_chunks;
        const bool visible = position + row >= leaf_.first && position + row <= leaf_.last;
        copy_async_16(to + (row * row_chunks + (column ^ (row & 7))) * 16, from + chunk * 8, visible);
      }
      slot_ = slot_ + 1 == slots ? 0 : slot_ + 1;
      ++started_;
    }
    copy_async_commit();  // an empty group past the end keeps the count right
  }

  const Leaf& leaf_;
  std::uint32_t memory_;
  int started_ = 0;
  int slot_ = 0;
  int taken_ = 0;
};

// Query rows as fragments of a: rows past `heads` are zero. q: [heads, head_dim], `stride` from head to head.
template <int head_dim>
__device__ void load_query(const bf16* q, int heads, std::uint32_t (&fragments)[head_dim / 16][4],
                           int stride = head_dim) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i % 2 * 8;
      const int column = step * 16 + lane % 4 * 2 + i / 2 * 8;
      fragments[step][i] =
          row < heads ? *reinterpret_cast<const std::uint32_t*>(q + row * stride + column) : 0u;
    }
  }
}

// scores: [2 column blocks][4] of 16 keys.
template <int head_dim>
__device__ void score_unit(std::uint32_t unit, const std::uint32_t (&q)[head_dim / 16][4], float* scores) {
  float(&low)[4] = *reinterpret_cast<float(*)[4]>(scores);
  float(&high)[4] = *reinterpret_cast<float(*)[4]>(scores + 4);
  const int lane = threadIdx.x % 32;
  const int row = lane / 16 * 8 + lane % 8;
  constexpr int row_bytes = head_dim * 2;
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
    const int chunk = step * 2 + lane / 8 % 2;
    std::uint32_t b[4];
    load_matrices(b, unit + row * row_bytes + (chunk ^ (row & 7)) * 16);
    multiply_add(low, q[step], b[0], b[1]);
    multiply_add(high, q[step], b[2], b[3]);
  }
}

// o += p[16, 16] V[16, head_dim].
template <int head_dim>
__device__ void weigh_unit(std::uint32_t unit, const std::uint32_t (&p)[4], float (&o)[head_dim / 8][4]) {
  const int lane = threadIdx.x % 32;
  const int row = lane / 8 % 2 * 8 + lane % 8;
  constexpr int row_bytes = head_dim * 2;
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
    const int chunk = step * 2 + lane / 16;
    std::uint32_t b[4];
    load_matrices_transposed(b, unit + row * row_bytes + (chunk ^ (row & 7)) * 16);
    multiply_add(o[2 * step], p, b[0], b[1]);
    multiply_add(o[2 * step + 1], p, b[2], b[3]);
  }
}

// A raw product as a score; c tanh(x / c) as c - 2c / (2^(2 log2(e) x / c) + 1).
template <bool capped>
__device__ __forceinline__ float finish_score(float raw, float scale, float soft_cap) {
  if constexpr (capped) {
    const float power = exp2_fast(raw * (scale / soft_cap) * (2.0f * log2_e));
    return soft_cap - __fdividef(2.0f * soft_cap, power + 1.0f);
  } else {
    return raw;  // scaled together with the change to log2, in one multiply-add
  }
}

// The three steps from the scores of one half of the rows (`half` 0: row lane / 4; 1: that + 8) to their probabilities.
// First: the lane's maximum of the scores of the leaf at `start`, of whose keys [first, last] are visible. `masked` false:
// all keys are visible.
template <bool capped, bool masked = true>
__device__ __forceinline__ float lane_maximum(int start, int first, int last, float scale, float soft_cap,
                                              int half, float (&s)[leaf_units * 8]) {
  const int lane = threadIdx.x % 32;
  float m[2] = {-INFINITY, -INFINITY};  // two chains take half as long
#pragma unroll
  for (int i = 0; i < leaf_units * 4; ++i) {
    const int position = start + i / 2 * 8 + lane % 4 * 2 + i % 2;
    float& score = s[i / 2 * 4 + half * 2 + i % 2];
    score = finish_score<capped>(score, scale, soft_cap);
    if constexpr (masked) score = position >= first && position <= last ? score : -INFINITY;
    m[i % 2] = fmaxf(m[i % 2], score);
  }
  return fmaxf(m[0], m[1]);
}

// Second: the row's maximum in units of log2, from its four lanes' `m`.
__device__ __forceinline__ float row_maximum(float m, float to_log2) {
  m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 1));
  m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 2));
  return __fmul_rn(m, to_log2);
}

// Third: scores become probabilities relative to the row's maximum `m`; returns the lane's sum, keys ascending.
template <bool masked = true>
__device__ __forceinline__ float lane_sum(float m, float to_log2, int half, float (&s)[leaf_units * 8]) {
  const float shift = masked && m == -INFINITY ? 0.0f : m;
  float l = 0.0f;
#pragma unroll
  for (int i = 0; i < leaf_units * 4; ++i) {
    float& score = s[i / 2 * 4 + half * 2 + i % 2];
    score = exp2_fast(__fmaf_rn(score, to_log2, -shift));
    l = __fadd_rn(l, score);
  }
  return l;
}

__device__ __forceinline__ float row_sum(float l) {
  l = __fadd_rn(l, __shfl_xor_sync(0xffffffffu, l, 1));
  return __fadd_rn(l, __shfl_xor_sync(0xffffffffu, l, 2));
}

template <bool capped>
__device__ __forceinline__ float scale_to_log2(float scale) {
  return capped ? log2_e : scale * log2_e;
}

// All of them. A row that sees no key gets probabilities of 0, the sum 0 and the maximum minus infinity.
template <bool capped>
__device__ __forceinline__ void soften_half(int start, int first, int last, float scale, float soft_cap,
                                            int half, float (&s)[leaf_units * 8], float& m, float& l) {
  const float to_log2 = scale_to_log2<capped>(scale);
  m = row_maximum(lane_maximum<capped>(start, first, last, scale, soft_cap, half, s), to_log2);
  l = row_sum(lane_sum(m, to_log2, half, s));
}

// The probabilities of 16 keys as the left operand of their product with V.
__device__ __forceinline__ void pack_unit(const float* s, bool both_halves, std::uint32_t (&p)[4]) {
  p[0] = pack_2(s[0], s[1]);
  p[1] = both_halves ? pack_2(s[2], s[3]) : 0u;
  p[2] = pack_2(s[4], s[5]);
  p[3] = both_halves ? pack_2(s[6], s[7]) : 0u;
}

// `both_halves`: more than eight query heads. The bits of a row are the same either way.
template <int head_dim, bool both_halves, bool capped, int slots>
__device__ void attend_leaf(const Leaf& leaf, UnitRing<head_dim, slots>& ring, const bf16* q, int heads,
                            float scale, float soft_cap, LeafState<head_dim>& state) {
  float s[leaf_units * 8] = {};
  {
    std::uint32_t fragments[head_dim / 16][4];
    load_query<head_dim>(q, heads, fragments);
#pragma unroll
    for (int unit = 0; unit < leaf_units; ++unit) {
      if (unit >= leaf.first_unit && unit < leaf.end_unit)
        score_unit<head_dim>(ring.next(), fragments, s + unit * 8);
    }
  }
  soften_half<capped>(leaf.start, leaf.first, leaf.last, scale, soft_cap, 0, s, state.m[0], state.l[0]);
  if constexpr (both_halves)
    soften_half<capped>(leaf.start, leaf.first, leaf.last, scale, soft_cap, 1, s, state.m[1], state.l[1]);
#pragma unroll
  for (int i = 0; i < head_dim / 8 * 4; ++i) state.o[i / 4][i % 4] = 0.0f;
#pragma unroll
  for (int unit = 0; unit < leaf_units; ++unit) {
    if (unit < leaf.first_unit || unit >= leaf.end_unit) continue;
    std::uint32_t p[4];
    pack_unit(s + unit * 8, both_halves, p);
    weigh_unit<head_dim>(ring.next(), p, state.o);
  }
}

}  // namespace serveloop::kernels::cuda
