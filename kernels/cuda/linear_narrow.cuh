// The kernel of linear() for few rows of a small matrix: what a step of few sequences waits for is then not bytes but
// the chain of sums, which one warp makes for eight columns.
//
// A block has two warps and eight columns (a gate: eight of each half), and all of its x and weights fit into shared
// memory: nothing is handed back, addresses are constants, and a barrier stands for four steps of k. All blocks run at
// once, several to a multiprocessor. The chain is linear.cuh's.
//
// With a norm, warps read x themselves and put normalised rows where copies would have put x: every block repeats that,
// which for few rows costs less than another launch.
#pragma once

#include "linear.cuh"
#include "norm_row.cuh"

namespace serveloop::kernels::cuda {

inline constexpr int narrow_most_steps = 48;  // of 64 along k
inline constexpr int narrow_group = 4;        // steps a barrier
inline constexpr int most_normed_rows = 2;    // more are normalised sooner by a launch of their own

// Shared memory: weights [steps][8 or 16 columns][128 bytes], in whole groups, then x [steps][x_rows][128 bytes].
template <int x_rows, LinearEnd end>
struct NarrowLayout {
  static constexpr int blocks = end == LinearEnd::gate ? 2 : 1;  // of eight columns
  static constexpr int tiles = x_rows == 32 ? 2 : 1;             // of 16 rows
  static constexpr int w_step = 1024;                            // of one block
  static constexpr int x_step = x_rows * 128;
  __host__ __device__ static constexpr int groups(int steps) {
    return (steps + narrow_group - 1) / narrow_group;
  }
  __host__ __device__ static constexpr int block_bytes(int steps) {
    return groups(steps) * narrow_group * w_step;
  }
  __host__ __device__ static constexpr int x_at(int steps) { return blocks * block_bytes(steps); }
  __host__ __device__ static constexpr int bytes(int steps) { return 1024 + x_at(steps) + steps * x_step; }
};

// Where a lane's rows of fragments lie in a step, in bytes. Rows past eight of a tile repeat the first where a step
// of x has no more: they end in rows that nobody stores.
struct NarrowOffsets {
  std::uint32_t x[4];  // by 16 terms
  std::uint32_t w[2];  // by 32 terms

  __device__ explicit NarrowOffsets(int x_rows) {
    const int lane = threadIdx.x % 32;
    const int row = lane % 16 & (x_rows - 1);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = kept(row * 128 + ((i * 2 + lane / 16) ^ (row & 7)) * 16);
#pragma unroll
    for (int i = 0; i < 2; ++i) w[i] = kept(lane % 8 * 128 + ((i * 4 + lane / 8) ^ (lane % 8)) * 16);
  }
};

// Reads what finish() will add to, so that it is near by then.
template <int x_rows>
__device__ __forceinline__ void touch_out(const LinearPlan& plan, int column) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int row = lane / 4; row < x_rows; row += 8) {
    const int at = column + lane % 4 * 2;
    if (row >= plan.job.rows || at >= plan.job.n) continue;
    [[maybe_unused]] std::uint16_t ignored;
    asm volatile("ld.global.u16 %0, [%1];"
                 : "=h"(ignored)
                 : "l"(static_cast<const bf16*>(plan.job.out) + row * plan.job.out_stride + at));
  }
}

// One thread. normed: the weights alone.
template <int x_rows, LinearEnd end, bool normed>
__device__ void bring_narrow(const LinearPlan& plan, const CUtensorMap& x_map, const CUtensorMap& w_map,
                             std::uint32_t memory, std::uint32_t barriers) {
  using Layout = NarrowLayout<x_rows, end>;
  const int steps = plan.job.k / linear_step;
  const int groups = Layout::groups(steps);
  const std::uint64_t once = policy_evict_first();
  const std::uint64_t again = policy_evict_last();
  for (int group = 0; group < groups; ++group) {
    const int count = min(narrow_group, steps - group * narrow_group);
    barrier_arrive_expecting(barriers + group * 8, narrow_group * Layout::w_step * Layout::blocks +
                                                       (normed ? 0 : count * plan.job.rows * 128));
    for (int i = 0; i < Layout::blocks; ++i)
      copy_box(memory + i * Layout::block_bytes(steps) + group * narrow_group * Layout::w_step, w_map,
               barriers + group * 8, 0, i * (plan.job.n / 2) + static_cast<int>(blockIdx.x) * 8,
               group * narrow_group, once);
  }
  if constexpr (normed) return;
  wait_for_predecessor();
  const std::uint32_t x = memory + Layout::x_at(steps);
  for (int step = 0; step < steps; ++step)
    copy_box(x + step * Layout::x_step, x_map, barriers + step / narrow_group * 8, step * linear_step, 0,
             again);
}

template <int x_rows, LinearEnd end>
__device__ __forceinline__ void load_half(
    LinearFragments<NarrowLayout<x_rows, end>::tiles, NarrowLayout<x_rows, end>::blocks>& to,
    const std::uint32_t (&x)[4], const std::uint32_t (&w)[2], int up, int step, int half) {
  using Layout = NarrowLayout<x_rows, end>;
  load_matrices(to.w[0], w[half] + step * Layout::w_step);
  if constexpr (Layout::blocks == 2) load_matrices(to.w[1], w[half] + up + step * Layout::w_step);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int tile = 0; tile < Layout::tiles; ++tile)
      load_matrices(to.x[tile][i], x[half * 2 + i] + tile * 2048 + step * Layout::x_step);
  }
}

template <int x_rows, LinearEnd end>
__device__ void multiply_narrow(const LinearPlan& plan, std::uint32_t memory, std::uint32_t barriers) {
  using Layout = NarrowLayout<x_rows, end>;
  constexpr int blocks = Layout::blocks;
  const int steps = plan.job.k / linear_step;
  const int up = Layout::block_bytes(steps);
  const NarrowOffsets lane(x_rows);
  std::uint32_t x[4], w[2];
  for (int i = 0; i < 4; ++i) x[i] = memory + Layout::x_at(steps) + lane.x[i];
  for (int i = 0; i < 2; ++i) w[i] = memory + lane.w[i];
  float sums[Layout::tiles][blocks][4] = {};
  LinearFragments<Layout::tiles, blocks> first, second;
  barrier_wait(barriers, 0);
  load_half<x_rows, end>(first, x, w, up, 0, 0);
  for (int left = steps; left > 0; left -= narrow_group) {
#pragma unroll
    for (int i = 0; i < narrow_group; ++i) {
      if (i >= left) break;
      load_half<x_rows, end>(second, x, w, up, i, 1);
      multiply_fragments(first, sums);
      if (i + 1 < narrow_group) {
        if (i + 1 < left) load_half<x_rows, end>(first, x, w, up, i + 1, 0);
      } else if (left > narrow_group) {
        barriers += 8;
        barrier_wait(barriers, 0);
        load_half<x_rows, end>(first, x, w, up, narrow_group, 0);
      }
      multiply_fragments(second, sums);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] += narrow_group * Layout::x_step;
#pragma unroll
    for (int i = 0; i < 2; ++i) w[i] += narrow_group * Layout::w_step;
  }
  finish<Layout::tiles, blocks, end>(plan, static_cast<int>(blockIdx.x) * 8, sums, 0, plan.job.rows);
}

// Rows of x, normalised, to shared memory: a warp a part of 256 elements, of all rows.
template <int x_rows, LinearEnd end>
__device__ void put_normed(const LinearPlan& plan, std::uint32_t memory) {
  using Layout = NarrowLayout<x_rows, end>;
  __shared__ float sums[most_normed_rows][norm_few_warps];
  const LinearJob& job = plan.job;
  const int part = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int chunk = threadIdx.x;  // of eight elements
  const bool has = chunk * 8 < job.k;
  const uint4 packed = has ? reinterpret_cast<const uint4*>(job.norm.weight)[chunk] : uint4{};
  wait_for_predecessor();
  uint4 x[most_normed_rows];
#pragma unroll
  for (int row = 0; row < most_normed_rows; ++row)
    if (row < job.rows)
      x[row] = has ? reinterpret_cast<const uint4*>(job.x + row * job.x_stride)[chunk] : uint4{};
#pragma unroll
  for (int row = 0; row < most_normed_rows; ++row) {
    if (row >= job.rows) break;
    float values[8];
    unpack(x[row], values);
    const float sum = warp_sum(add_squares(values, 0.0f));
    if (lane == 0) sums[row][part] = sum;
  }
  __syncthreads();
  float weight[8];
  unpack(packed, weight);
  const int parts = (job.k + 255) / 256;
  const std::uint32_t to = memory + Layout::x_at(job.k / linear_step) + chunk / 8 * Layout::x_step;
#pragma unroll
  for (int row = 0; row < most_normed_rows; ++row) {
    if (row >= job.rows) break;
    const float inverse = inverse_rms(warp_sum(lane < parts ? sums[row][lane] : 0.0f), job.k, job.norm.eps);
    float values[8];
    unpack(x[row], values);
    scale_row(values, inverse, weight, job.norm.weight_offset);
    if (has) store_shared(to + row * 128 + ((chunk % 8) ^ (row & 7)) * 16, pack(values));
  }
  __syncthreads();
}

template <int x_rows, LinearEnd end, bool normed>
__global__ void __launch_bounds__(normed ? norm_few_threads : 64)
    linear_narrow_kernel(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
                         const __grid_constant__ LinearPlan plan) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ __align__(8) std::uint64_t barriers[narrow_most_steps / narrow_group];
  const std::uint32_t base = kept((shared_address(memory) + 1023) & ~1023u);
  const std::uint32_t first = shared_address(barriers);
  if (threadIdx.x == 0) {
    for (int i = 0; i < narrow_most_steps / narrow_group; ++i) barrier_init(first + i * 8, 1);
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  if (threadIdx.x == 32) bring_narrow<x_rows, end, normed>(plan, x_map, w_map, base, first);
  if constexpr (normed) {
    __syncwarp();
    put_normed<x_rows, end>(plan, base);
  }
  if (threadIdx.x >= 32) return;
  wait_for_predecessor();
  if constexpr (end == LinearEnd::add) touch_out<x_rows>(plan, static_cast<int>(blockIdx.x) * 8);
  multiply_narrow<x_rows, end>(plan, base, first);
}

}  // namespace serveloop::kernels::cuda
