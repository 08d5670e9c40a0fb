// A head of Q, K or V in a warp: norm and rotary position.
//
// Lane i holds head_dim / 32 neighbouring elements of its head, so a partner in the other half of the head is
// held by lane i xor 16.
#pragma once

#include "device.cuh"
#include "rope.hpp"

namespace serveloop::kernels::cuda {

template <int size>
struct Elements {
  float at[size];
};

template <int size>
__device__ __forceinline__ Elements<size> load(const bf16* from) {
  std::uint32_t words[size / 2];
  if constexpr (size == 8) {
    const uint4 in = *reinterpret_cast<const uint4*>(from);
    words[0] = in.x, words[1] = in.y, words[2] = in.z, words[3] = in.w;
  } else if constexpr (size == 4) {
    const uint2 in = *reinterpret_cast<const uint2*>(from);
    words[0] = in.x, words[1] = in.y;
  } else {
    words[0] = *reinterpret_cast<const std::uint32_t*>(from);
  }
  Elements<size> out;
#pragma unroll
  for (int i = 0; i < size / 2; ++i) {
    out.at[2 * i] = __uint_as_float(words[i] << 16);
    out.at[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
  return out;
}

template <int size>
__device__ __forceinline__ void store(bf16* to, const Elements<size>& in) {
  std::uint32_t words[size / 2];
#pragma unroll
  for (int i = 0; i < size / 2; ++i) words[i] = pack_2(in.at[2 * i], in.at[2 * i + 1]);
  if constexpr (size == 8) {
    *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
  } else if constexpr (size == 4) {
    *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
  } else {
    *reinterpret_cast<std::uint32_t*>(to) = words[0];
  }
}

template <int size>
__device__ void normalise(Elements<size>& x, const bf16* weight, float eps, float weight_offset) {
  const int lane = threadIdx.x % 32;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < size; ++i) sum = __fmaf_rn(x.at[i], x.at[i], sum);
  const float inverse_rms = rsqrtf(warp_sum(sum) / static_cast<float>(size * 32) + eps);
  const Elements<size> w = load<size>(weight + lane * size);
#pragma unroll
  for (int i = 0; i < size; ++i) x.at[i] *= inverse_rms * (w.at[i] + weight_offset);
}

// angles: (cos, sin) of the head's size * 16 pairs at the token's position.
template <int size>
__device__ void turn(Elements<size>& x, const float2* angles, RopePairs pairs) {
  const int lane = threadIdx.x % 32;
  if (pairs == RopePairs::neighbours) {
#pragma unroll
    for (int i = 0; i < size; i += 2) {
      const float2 angle = angles[(lane * size + i) / 2];
      const float a = x.at[i];
      const float b = x.at[i + 1];
      x.at[i] = a * angle.x - b * angle.y;
      x.at[i + 1] = b * angle.x + a * angle.y;
    }
    return;
  }
  const float sign = lane < 16 ? -1.0f : 1.0f;
#pragma unroll
  for (int i = 0; i < size; ++i) {
    const float2 angle = angles[lane % 16 * size + i];
    const float partner = __shfl_xor_sync(0xffffffffu, x.at[i], 16);
    x.at[i] = x.at[i] * angle.x + sign * partner * angle.y;
  }
}

// Head `head` of Q, K and V one after the other, as it goes to attention or to the cache; `row`: the lane's elements.
template <int head_dim>
__device__ __forceinline__ Elements<head_dim / 32> turned_head(const RopeJob& job, const bf16* row, int head,
                                                               int position) {
  Elements<head_dim / 32> x = load<head_dim / 32>(row);
  if (head >= job.q_heads + job.kv_heads) return x;
  const bf16* weight = head < job.q_heads ? job.q_norm : job.k_norm;
  if (weight != nullptr) normalise(x, weight, job.norm_eps, job.norm_weight_offset);
  turn(x, job.table + static_cast<std::int64_t>(position) * (head_dim / 2), job.pairs);
  return x;
}

}  // namespace serveloop::kernels::cuda
