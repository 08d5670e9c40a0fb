// The kernel of linear() for up to 32 rows, and what its other kernels share with it.
//
// A block owns all rows of a band of output columns at a time and walks k in steps of 64 through a ring in shared
// memory. One warp brings the boxes of x and of the weights; each other warp multiplies the rows with `blocks` times
// eight columns. Fragments of the next terms are loaded before the current ones are multiplied.
#pragma once

#include "activate.cuh"
#include "hopper.cuh"
#include "linear.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int linear_step = 64;  // of k, in a stage
inline constexpr int linear_max_stages = 32;

struct LinearPlan {
  LinearJob job;
  int warps;    // that multiply
  int columns;  // of a band: warps x blocks x 8
  int bands;
  int stages;
  bool pairs;   // out takes two elements in one access
  bool eights;  // out takes eight BF16 elements in one access
  bool paired;  // two blocks of a cluster take half of the rows each of a band (linear_group.cuh)
  int share;    // rows of a block: all or half
};

// row_tiles: of 16 rows; blocks: of 8 columns, a warp. Fragments of two products of 16 terms.
template <int row_tiles, int blocks>
struct LinearFragments {
  std::uint32_t x[row_tiles][2][4];
  std::uint32_t w[blocks][4];
};

// The half'th fragments of a stage. The second half of the blocks lies `apart` bytes further on than in a row.
template <int row_tiles, int blocks>
__device__ __forceinline__ void load_fragments(LinearFragments<row_tiles, blocks>& to, std::uint32_t x,
                                               std::uint32_t w, int apart, int half) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int block = 0; block < blocks; ++block) {
    const int row = lane % 8;
    const int chunk = half * 4 + lane / 8;
    const int skipped = blocks > 1 && block >= blocks / 2 ? apart : 0;
    load_matrices(to.w[block], w + skipped + block * 1024 + row * 128 + (chunk ^ row) * 16);
  }
#pragma unroll
  for (int step = 0; step < 2; ++step) {
#pragma unroll
    for (int tile = 0; tile < row_tiles; ++tile) {
      const int row = tile * 16 + lane % 16;
      const int chunk = half * 4 + step * 2 + lane / 16;
      load_matrices(to.x[tile][step], x + row * 128 + (chunk ^ (row & 7)) * 16);
    }
  }
}

template <int row_tiles, int blocks>
__device__ __forceinline__ void multiply_fragments(const LinearFragments<row_tiles, blocks>& from,
                                                   float (&sums)[row_tiles][blocks][4]) {
#pragma unroll
  for (int step = 0; step < 2; ++step) {
#pragma unroll
    for (int tile = 0; tile < row_tiles; ++tile) {
#pragma unroll
      for (int block = 0; block < blocks; ++block) {
        multiply_add(sums[tile][block], from.x[tile][step], from.w[block][2 * step],
                     from.w[block][2 * step + 1]);
      }
    }
  }
}

__device__ __forceinline__ float round_bf16(float x) { return __bfloat162float(__float2bfloat16_rn(x)); }

// Two neighbouring columns of one row; `column` is of out.
template <LinearEnd end>
__device__ __forceinline__ void finish_pair(const LinearPlan& plan, int row, int column, int columns, float a,
                                            float b) {
  const std::int64_t at = row * plan.job.out_stride + column;
  if constexpr (end == LinearEnd::store_f32) {
    float* out = static_cast<float*>(plan.job.out) + at;
    if (plan.pairs && column + 1 < columns) {
      *reinterpret_cast<float2*>(out) = {a, b};
      return;
    }
    if (column < columns) out[0] = a;
    if (column + 1 < columns) out[1] = b;
  } else {
    bf16* out = static_cast<bf16*>(plan.job.out) + at;
    if (plan.pairs && column + 1 < columns) {
      std::uint32_t* word = reinterpret_cast<std::uint32_t*>(out);
      if constexpr (end == LinearEnd::add) {
        const std::uint32_t before = *word;
        a = __uint_as_float(before << 16) + round_bf16(a);
        b = __uint_as_float(before & 0xffff0000u) + round_bf16(b);
      }
      *word = pack_2(a, b);
      return;
    }
    const float values[2] = {a, b};
    for (int i = 0; i < 2; ++i) {
      if (column + i >= columns) return;
      float value = values[i];
      if constexpr (end == LinearEnd::add) value = __bfloat162float(out[i]) + round_bf16(value);
      out[i] = __float2bfloat16_rn(value);
    }
  }
}

__device__ __forceinline__ float bias_at(const LinearJob& job, int column) {
  return job.bias != nullptr && column < job.n ? __bfloat162float(job.bias[column]) : 0.0f;
}

// A warp's sums to their places; `column`: of its first block; `first_row`: of its first tile; nothing from `end_row`
// on.
template <int row_tiles, int blocks, LinearEnd end>
__device__ void finish(const LinearPlan& plan, int column, const float (&sums)[row_tiles][blocks][4],
                       int first_row, int end_row) {
  const int lane = threadIdx.x % 32;
  constexpr bool gated = end == LinearEnd::gate;
  constexpr int shown = gated ? blocks / 2 : blocks;
  const int columns = gated ? plan.job.n / 2 : plan.job.n;
#pragma unroll
  for (int block = 0; block < shown; ++block) {
    const int at = column + block * 8 + lane % 4 * 2;
    const float bias[2] = {bias_at(plan.job, at), bias_at(plan.job, at + 1)};
    float up_bias[2] = {};
    if constexpr (gated)
      up_bias[0] = bias_at(plan.job, columns + at), up_bias[1] = bias_at(plan.job, columns + at + 1);
#pragma unroll
    for (int i = 0; i < row_tiles * 2; ++i) {
      float values[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        values[j] = sums[i / 2][block][i % 2 * 2 + j] + bias[j];
        if constexpr (gated) {
          const float x = round_bf16(values[j]);
          const float up = round_bf16(sums[i / 2][block + shown][i % 2 * 2 + j] + up_bias[j]);
          values[j] =
              (plan.job.gate == Gate::swish ? activate<Gate::swish>(x) : activate<Gate::gelu_tanh>(x)) * up;
        }
      }
      const int row = first_row + i / 2 * 16 + i % 2 * 8 + lane / 4;
      if (row < end_row) finish_pair<end>(plan, row, at, columns, values[0], values[1]);
    }
  }
}

struct LinearRing {
  std::uint32_t memory, barriers;
  int stage_bytes, stages;
  int stage = 0;
  int phase = 0;

  __device__ std::uint32_t slot() const { return memory + stage * stage_bytes; }
  __device__ std::uint32_t full() const { return barriers + stage * 8; }
  __device__ std::uint32_t empty() const { return barriers + (linear_max_stages + stage) * 8; }
  __device__ void step() {
    if (++stage == stages) stage = 0, phase ^= 1;
  }
};

// One thread. Weights of the first stages are asked for before the predecessor has ended, x after. Only the job's rows
// are brought: what else lies in a tile of rows ends in rows that nobody stores.
template <int row_tiles, LinearEnd end>
__device__ void bring(const LinearPlan& plan, const CUtensorMap& x_map, const CUtensorMap& w_map,
                      LinearRing ring) {
  constexpr bool gated = end == LinearEnd::gate;
  const int steps = (plan.job.k + linear_step - 1) / linear_step;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  const int x_bytes = row_tiles * 16 * 128;
  const std::uint64_t once = policy_evict_first();
  const std::uint64_t again = policy_evict_last();
  const auto weights = [&](const LinearRing& at, int band, int step) {
    barrier_arrive_expecting(at.full(), (plan.job.rows + plan.columns) * 128);
    const std::uint32_t to = at.slot() + x_bytes;
    copy_box(to, w_map, at.full(), step * linear_step, band * shown, once);
    if constexpr (gated)
      copy_box(to + shown * 128, w_map, at.full(), step * linear_step, plan.job.n / 2 + band * shown, once);
  };
  const auto rows = [&](const LinearRing& at, int step) {
    copy_box(at.slot(), x_map, at.full(), step * linear_step, 0, again);
  };
  const int ahead = min(steps, ring.stages);
  LinearRing first = ring;
  for (int step = 0; step < ahead; ++step, first.step()) weights(first, blockIdx.x, step);
  wait_for_predecessor();
  for (int step = 0; step < ahead; ++step, ring.step()) rows(ring, step);
  for (int band = blockIdx.x; band < plan.bands; band += gridDim.x) {
    for (int step = band == static_cast<int>(blockIdx.x) ? ahead : 0; step < steps; ++step, ring.step()) {
      barrier_wait(ring.empty(), ring.phase ^ 1);
      weights(ring, band, step);
      rows(ring, step);
    }
  }
}

template <int row_tiles, int blocks, LinearEnd end>
__device__ void multiply(const LinearPlan& plan, LinearRing ring) {
  constexpr bool gated = end == LinearEnd::gate;
  const int warp = threadIdx.x / 32;
  const int stages = (plan.job.k + linear_step - 1) / linear_step;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  constexpr int warp_shown = (gated ? blocks / 2 : blocks) * 8;
  const std::uint32_t w_at = row_tiles * 16 * 128 + warp * warp_shown * 128;
  const int up_at = gated ? (shown - warp_shown) * 128 : 0;
  for (int band = blockIdx.x; band < plan.bands; band += gridDim.x) {
    float sums[row_tiles][blocks][4] = {};
    LinearFragments<row_tiles, blocks> first, second;
    barrier_wait(ring.full(), ring.phase);
    load_fragments(first, ring.slot(), ring.slot() + w_at, up_at, 0);
    // Terms past k are zeros on both sides.
    for (int stage = 0; stage < stages; ++stage) {
      const LinearRing used = ring;
      load_fragments(second, used.slot(), used.slot() + w_at, up_at, 1);
      multiply_fragments(first, sums);
      ring.step();
      if (stage + 1 < stages) {
        barrier_wait(ring.full(), ring.phase);
        load_fragments(first, ring.slot(), ring.slot() + w_at, up_at, 0);
      }
      multiply_fragments(second, sums);
      __syncwarp();
      if (threadIdx.x % 32 == 0) barrier_arrive(used.empty());
    }
    finish<row_tiles, blocks, end>(plan, band * shown + warp * warp_shown, sums, 0, plan.job.rows);
  }
}

template <int row_tiles, int blocks, LinearEnd end>
__global__ void __launch_bounds__(288)
    linear_kernel(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
                  const __grid_constant__ LinearPlan plan) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * linear_max_stages];
  LinearRing ring;
  ring.memory = kept((shared_address(memory) + 1023) & ~1023u);
  ring.barriers = kept(shared_address(barriers));
  ring.stage_bytes = (row_tiles * 16 + plan.columns) * 128;
  ring.stages = plan.stages;
  const int warp = threadIdx.x / 32;
  if (threadIdx.x == 0) {
    for (int i = 0; i < plan.stages; ++i) {
      barrier_init(ring.barriers + i * 8, 1);
      barrier_init(ring.barriers + (linear_max_stages + i) * 8, plan.warps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  if (warp == plan.warps) {
    if (threadIdx.x % 32 == 0) bring<row_tiles, end>(plan, x_map, w_map, ring);
    return;
  }
  wait_for_predecessor();
  multiply<row_tiles, blocks, end>(plan, ring);
}

}  // namespace serveloop::kernels::cuda
