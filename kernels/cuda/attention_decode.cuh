// The kernel of decode_attention(): blocks of four warps, of which each makes the state of one leaf, take one piece of
// work after another.
#pragma once

#include "attention_piece.cuh"
#include "hopper.cuh"

namespace serveloop::kernels::cuda {
inline constexpr int block_threads = group_leaves * 32;
// A warp's ring; after the leaf it holds the warp's weighted values [heads, head_dim] in F32.
template <int head_dim>
inline constexpr int ring_bytes = ring_slots* unit_bytes<head_dim>;

// Writes the visible rows of a warp's state to its shared memory.
template <int head_dim, bool both_halves>
__device__ void store_leaf(const LeafState<head_dim>& state, int heads, float* values, float2* sums) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < (both_halves ? 2 : 1); ++half) {
    const int row = lane / 4 + half * 8;
    if (row >= heads) continue;
    if (lane % 4 == 0) sums[row] = {state.m[half], state.l[half]};
#pragma unroll
    for (int i = 0; i < head_dim / 8; ++i) {
      *reinterpret_cast<float2*>(values + row * head_dim + i * 8 + lane % 4 * 2) = {state.o[i][half * 2],
                                                                                    state.o[i][half * 2 + 1]};
    }
  }
}

// Draws the block's next piece. Every block draws once past the end; the last of those draws resets the ticket.
__device__ inline int draw(const Job& job, int total) {
  const int blocks = gridDim.x;
  const int drawn = atomicAdd(job.ticket, 1);
  if (drawn == max(total - blocks, 0) + blocks - 1) *job.ticket = 0;
  return blocks + drawn;
}

template <int head_dim, bool both_halves, bool capped>
__global__ void __launch_bounds__(block_threads) decode_kernel(const Job job) {
  extern __shared__ __align__(128) char memory[];
  __shared__ float2 sums[group_leaves][pack_heads_limit];
  __shared__ int next_work;
  __shared__ int arrived;
  let_successor_start();
  wait_for_predecessor();
  const int total = job.plan.words[1] * job.packs;
  const int warp = threadIdx.x / 32;
  for (int work = blockIdx.x;; work = next_work) {
    __syncthreads();  // nobody reads the former piece's shared memory any more
    if (threadIdx.x == 0) next_work = draw(job, total);
    if (work < total) {
      const Piece piece = piece_of(job, work);
      const Leaf leaf = leaf_of(job, piece, warp);
      if (leaf.first <= leaf.last) {
        const bf16* q = job.q + piece.token * job.q_stride + piece.q_head * head_dim;
        char* ring = memory + warp * ring_bytes<head_dim>;
        LeafState<head_dim> state;
        attend_leaf<head_dim, both_halves, capped>(leaf, q, piece.heads, job.shape.scale, job.shape.soft_cap,
                                                   shared_address(ring), state);
        copy_async_wait<0>();
        __syncwarp();
        store_leaf<head_dim, both_halves>(state, piece.heads, reinterpret_cast<float*>(ring), sums[warp]);
      }
      __syncthreads();
      const LeafResults results = {sums, memory, ring_bytes<head_dim>};
      if (finish_group<head_dim>(job, piece, results, arrived)) fold_groups<head_dim>(job, piece);
    }
    __syncthreads();
    if (next_work >= total) return;
  }
}

}  // namespace serveloop::kernels::cuda
