// The kernel of linear() for 33 to 256 rows, and from 17 on where weights are few: warpgroup products (`wgmma`), 64 rows a
// warpgroup.
//
// A block owns all rows of a band of up to 256 columns at a time, as linear.cuh has it, with a like ring and a warp that
// fills it. Both operands come from shared memory, and a band is a multiple of 32 columns, so that bands fit the number
// of multiprocessors. Where bands are narrow, what a multiprocessor takes in is mostly x, and a block has room for the
// sums of 128 rows: there two blocks of a cluster take half of the rows each of a band, and each brings half of its weights
// for both (`paired`). Half of those that there are: copying rows that are not there takes longer than copying rows. An
// output is the same chain of sums of 16 terms.
#pragma once

#include "hopper_wide.cuh"
#include "linear.cuh"

namespace serveloop::kernels::cuda {

// Pieces of linear_step terms that a stage holds: two where bands are narrow, as a stage takes its time whatever it
// holds.
__host__ __device__ constexpr int group_depth(int pieces) { return pieces <= 4 ? 2 : 1; }

// Which rows and bands a block has.
struct GroupPlace {
  int rank = 0;
  int first_row = 0, end_row;
  int first_band, band_stride;

  __device__ explicit GroupPlace(const LinearPlan& plan)
      : end_row(plan.job.rows),
        first_band(static_cast<int>(blockIdx.x)),
        band_stride(static_cast<int>(gridDim.x)) {
    if (!plan.paired) return;
    rank = first_band % 2;
    first_row = rank * plan.share;
    end_row = min(end_row, first_row + plan.share);
    first_band /= 2;
    band_stride /= 2;
  }
};

// Fills the ring; one thread. As bring() in linear.cuh.
template <int depth, LinearEnd end>
__device__ void bring_group(const LinearPlan& plan, const CUtensorMap& x_map, const CUtensorMap& w_map,
                            LinearRing ring, int tiles) {
  constexpr bool gated = end == LinearEnd::gate;
  constexpr int terms = linear_step * depth;
  const GroupPlace place(plan);
  const int steps = (plan.job.k + terms - 1) / terms;
  const int shown = gated ? plan.columns / 2 : plan.columns;
  const int x_bytes = tiles * 64 * 128;
  const int w_bytes = plan.columns * 128;
  const int bytes = (plan.share * 128 + w_bytes) * depth;
  const int up_row = gated ? plan.job.n / 2 : plan.columns / 2;  // of the band's second half, from its first
  const std::uint64_t once = policy_evict_first();
  const std::uint64_t again = policy_evict_last();
  const auto weights = [&](const LinearRing& at, int band, int step) {
    barrier_arrive_expecting(at.full(), bytes);
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      const std::uint32_t to = at.slot() + x_bytes * depth + w_bytes * i;
      const std::uint32_t up = to + w_bytes / 2;
      const int term = step * terms + i * linear_step;
      if (plan.paired) {
        copy_box_to(3, place.rank == 0 ? to : up, w_map, at.full(), term, band * shown + place.rank * up_row,
                    once);
      } else {
        copy_box(to, w_map, at.full(), term, band * shown, once);
        if constexpr (gated) copy_box(up, w_map, at.full(), term, band * shown + up_row, once);
      }
    }
  };
  const auto rows = [&](const LinearRing& at, int step) {
#pragma unroll
    for (int i = 0; i < depth; ++i)
      copy_box(at.slot() + x_bytes * i, x_map, at.full(), step * terms + i * linear_step, place.first_row,
               again);
  };
  const int ahead = min(steps, ring.stages);
  LinearRing first = ring;
  for (int step = 0; step < ahead; ++step, first.step()) weights(first, place.first_band, step);
  wait_for_predecessor();
  for (int step = 0; step < ahead; ++step, ring.step()) rows(ring, step);
  for (int band = place.first_band; band < plan.bands; band += place.band_stride) {
    for (int step = band == place.first_band ? ahead : 0; step < steps; ++step, ring.step()) {
      barrier_wait(ring.empty(), ring.phase ^ 1);
      weights(ring, band, step);
      rows(ring, step);
    }
  }
}

// A warp's sums to their places, 16 bytes an access: two column blocks and two halves of the rows are four vectors,
// one a lane of four. All columns of the band exist.
template <int blocks, LinearEnd end, Gate gate>
__device__ __forceinline__ void store_eights(const LinearPlan& plan, int column,
                                             const float (&sums)[1][blocks][4], int first_row, int end_row) {
  constexpr int shown = end == LinearEnd::gate ? blocks / 2 : blocks;
  const int lane = threadIdx.x % 32;
  const int row = first_row + lane % 4 / 2 * 8 + lane / 4;
  const bool exists = row < end_row;
  bf16* out = static_cast<bf16*>(plan.job.out) + row * plan.job.out_stride + column + lane % 2 * 8;
  constexpr int before_size = end == LinearEnd::add ? shown / 2 : 1;
  uint4 before[before_size];
  if constexpr (end == LinearEnd::add) {
#pragma unroll
    for (int i = 0; i < before_size; ++i)
      before[i] = exists ? *reinterpret_cast<const uint4*>(out + i * 16) : uint4{};
  }
#pragma unroll
  for (int block = 0; block < shown; block += 2) {
    std::uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int half = i / 2 * 2;
      float values[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        values[j] = sums[0][block + i % 2][half + j];
        if constexpr (end == LinearEnd::gate)
          values[j] =
              activate<gate>(round_bf16(values[j])) * round_bf16(sums[0][block + i % 2 + shown][half + j]);
      }
      words[i] = pack_2(values[0], values[1]);
    }
    transpose_quad(words);
    uint4 vector = {words[0], words[1], words[2], words[3]};
    if constexpr (end == LinearEnd::add) {
      float into[8], product[8];
      unpack(before[block / 2], into);
      unpack(vector, product);
#pragma unroll
      for (int i = 0; i < 8; ++i) into[i] += product[i];
      vector = pack(into);
    }
    if (exists) *reinterpret_cast<uint4*>(out + block * 8) = vector;
  }
}

// The code that runs for most bands is kept short: an instruction cache is cold here, and nothing else is under way.
template <int blocks, LinearEnd end>
__device__ void finish_group(const LinearPlan& plan, int column, const float (&sums)[1][blocks][4],
                             int first_row, int end_row) {
  if constexpr (end != LinearEnd::store_f32) {
    constexpr int shown = end == LinearEnd::gate ? blocks / 2 : blocks;
    const int columns = end == LinearEnd::gate ? plan.job.n / 2 : plan.job.n;
    if (plan.eights && plan.job.bias == nullptr && column + shown * 8 <= columns) {
      if (end != LinearEnd::gate || plan.job.gate == Gate::swish)
        store_eights<blocks, end, Gate::swish>(plan, column, sums, first_row, end_row);
      else
        store_eights<blocks, end, Gate::gelu_tanh>(plan, column, sums, first_row, end_row);
      return;
    }
  }
  finish<1, blocks, end>(plan, column, sums, first_row, end_row);
}

// Says, once a warp, that nobody here reads this stage any more.
__device__ __forceinline__ void release_stage(const LinearPlan& plan, std::uint32_t barrier) {
  const int lane = threadIdx.x % 32;
  if (!plan.paired) {
    if (lane == 0) barrier_arrive(barrier);
  } else if (lane < 2) {
    barrier_arrive_in(barrier, lane);
  }
}

// pieces: of 32 columns; tiles: of 64 rows.
template <int pieces, LinearEnd end>
__device__ void multiply_group(const LinearPlan& plan, LinearRing ring, int tiles) {
  constexpr bool gated = end == LinearEnd::gate;
  constexpr int depth = group_depth(pieces);
  constexpr int w_bytes = pieces * 32 * 128;
  // The rings of the widest bands are short: there a stage goes back before the next one has come.
  constexpr int pending = pieces < 8 ? 1 : 0;
  const GroupPlace place(plan);
  const int warp = threadIdx.x / 32;
  const int x_bytes = tiles * 64 * 128;
  const int steps = (plan.job.k + linear_step * depth - 1) / (linear_step * depth);
  const int shown = gated ? plan.columns / 2 : plan.columns;
  for (int band = place.first_band; band < plan.bands; band += place.band_stride) {
    float sums[1][pieces * 4][4] = {};
    float(&d)[pieces * 16] = *reinterpret_cast<float(*)[pieces * 16]>(&sums);
    std::uint32_t before = 0;  // the barrier of the stage before
    for (int step = 0; step < steps; ++step) {
      barrier_wait(ring.full(), ring.phase);
      const Matrix x(ring.slot() + warp / 4 * 64 * 128);
      const Matrix w(ring.slot() + x_bytes * depth);
      warpgroup_begin();
#pragma unroll
      for (int i = 0; i < depth; ++i) {
#pragma unroll
        for (int term = 0; term < linear_step / 16; ++term)
          warpgroup_multiply_add(d, x.at(x_bytes * i + term * 32), w.at(w_bytes * i + term * 32));
      }
      warpgroup_commit();
      warpgroup_wait<pending>();
      if (pending == 0 || step > 0) release_stage(plan, pending == 0 ? ring.empty() : before);
      before = ring.empty();
      ring.step();
    }
    if constexpr (pending > 0) {
      warpgroup_wait<0>();
      release_stage(plan, before);
    }
    finish_group<pieces * 4, end>(plan, band * shown, sums, place.first_row + warp * 16, place.end_row);
  }
}

template <int pieces, LinearEnd end>
__global__ void __launch_bounds__(288, 1)
    linear_group_kernel(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
                        const __grid_constant__ LinearPlan plan) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * linear_max_stages];
  constexpr int depth = group_depth(pieces);
  const int tiles = plan.warps / 4;
  LinearRing ring;
  ring.memory = kept((shared_address(memory) + 1023) & ~1023u);
  ring.barriers = kept(shared_address(barriers));
  ring.stage_bytes = (tiles * 64 + plan.columns) * 128 * depth;
  ring.stages = plan.stages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < plan.stages; ++i) {
      barrier_init(ring.barriers + i * 8, 1);
      barrier_init(ring.barriers + (linear_max_stages + i) * 8, plan.warps * (plan.paired ? 2 : 1));
    }
    barrier_init_fence();
  }
  if (plan.paired)
    cluster_barrier();
  else
    __syncthreads();
  let_successor_start();
  if (static_cast<int>(threadIdx.x / 32) == plan.warps) {
    if (threadIdx.x % 32 == 0) bring_group<depth, end>(plan, x_map, w_map, ring, tiles);
    return;
  }
  wait_for_predecessor();
  multiply_group<pieces, end>(plan, ring, tiles);
  if (plan.paired) cluster_barrier();  // the other block may still arrive at barriers of this one
}

}  // namespace serveloop::kernels::cuda
