// The kernel of linear() for 33 to 128 rows: warpgroup products (`wgmma`), 64 rows a warpgroup.
//
// A block owns all rows of a band of up to 256 columns at a time, as linear.cuh has it, with the same ring and the same
// warp that fills it. Both operands come from shared memory, and a band is a multiple of 32
// columns, so that bands fit the number of multiprocessors. An output is the same chain of sums of 16 terms.
#pragma once

#include "hopper_wide.cuh"
#include "linear.cuh"

namespace serveloop::kernels::cuda {

// pieces: of 32 columns; tiles: of 64 rows.
template <int pieces, LinearEnd end>
__device__ void multiply_group(const LinearPlan& plan, LinearRing ring, int tiles) {
  constexpr bool gated = end == LinearEnd::gate;
  const int warp = threadIdx.x / 32;
  const int tile = warp / 4;
  const int stages = (plan.job.k + linear_step - 1) / linear_step;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  for (int band = blockIdx.x; band < plan.bands; band += gridDim.x) {
    float sums[1][pieces * 4][4] = {};
    float(&d)[pieces * 16] = *reinterpret_cast<float(*)[pieces * 16]>(&sums);
    std::uint32_t done = 0;  // the barrier of the stage before
    for (int stage = 0; stage < stages; ++stage) {
      barrier_wait(ring.full(), ring.phase);
      const Matrix x(ring.slot() + tile * 64 * 128);
      const Matrix w(ring.slot() + tiles * 64 * 128);
      warpgroup_begin();
#pragma unroll
      for (int term = 0; term < linear_step / 16; ++term)
        warpgroup_multiply_add(d, x.at(term * 32), w.at(term * 32));
      warpgroup_commit();
      warpgroup_wait<1>();
      if (stage > 0 && threadIdx.x % 32 == 0) barrier_arrive(done);
      done = ring.empty();
      ring.step();
    }
    warpgroup_wait<0>();
    if (threadIdx.x % 32 == 0) barrier_arrive(done);
    finish<1, pieces * 4, end>(plan, band * shown, sums, warp * 16);
  }
}

template <int pieces, LinearEnd end>
__global__ void __launch_bounds__(288, 1)
    linear_group_kernel(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
                        const __grid_constant__ LinearPlan plan) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * linear_max_stages];
  const int tiles = plan.warps / 4;
  LinearRing ring;
  ring.memory = kept((shared_address(memory) + 1023) & ~1023u);
  ring.barriers = kept(shared_address(barriers));
  ring.stage_bytes = (tiles * 64 + plan.columns) * 128;
  ring.stages = plan.stages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < plan.stages; ++i) {
      barrier_init(ring.barriers + i * 8, 1);
      barrier_init(ring.barriers + (linear_max_stages + i) * 8, plan.warps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  if (static_cast<int>(threadIdx.x / 32) == plan.warps) {
    if (threadIdx.x % 32 != 0) return;
    if (tiles == 1)
      bring<4, end>(plan, x_map, w_map, ring);
    else
      bring<8, end>(plan, x_map, w_map, ring);
    return;
  }
  wait_for_predecessor();
  multiply_group<pieces, end>(plan, ring, tiles);
}

}  // namespace serveloop::kernels::cuda
