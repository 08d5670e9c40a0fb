// The kernel of decode_attention(): blocks of two or four warps take one piece of work after another, of whose leaves
// each warp makes the states of two or one. Small blocks for many tokens, so that many of them wait for memory at once.
#pragma once

#include "attention_piece.cuh"
#include "hopper.cuh"

namespace serveloop::kernels::cuda {

// Of a block of two or four warps. Shared memory: the warps' rings, then the weighted values of the group's leaves,
// [heads, head_dim] in F32 each; where each warp has one leaf, these take the place of its ring.
template <int head_dim, int warps>
struct DecodeMemory {
  static constexpr bool one_each = warps == group_leaves;
  static constexpr int slots = one_each ? 6 : 5;
  static constexpr int ring_bytes = slots * unit_bytes<head_dim>;
  static constexpr int results_at = one_each ? 0 : warps * ring_bytes;
  __host__ __device__ static constexpr int leaf_bytes(int heads) {
    return one_each ? ring_bytes : heads * head_dim * 4;
  }
  __host__ __device__ static constexpr int bytes(int heads) {
    return one_each ? warps * ring_bytes : results_at + group_leaves * leaf_bytes(heads);
  }
};

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

// Draws a ticket for the block's next piece.
__device__ inline int draw(const Job& job) { return atomicAdd(job.ticket, 1); }

// The piece that a ticket stands for. Every block draws once past the end; the last of those draws resets the ticket.
__device__ inline int work_of(const Job& job, int total, int drawn) {
  const int blocks = gridDim.x;
  if (drawn == max(total - blocks, 0) + blocks - 1) *job.ticket = 0;
  return blocks + drawn;
}

// `early`: plan, positions, tables and all keys but the tokens' own are read before the predecessor has ended.
template <int head_dim, int warps, bool both_halves, bool capped>
__global__ void __launch_bounds__(warps * 32) decode_kernel(const __grid_constant__ Job job, bool early) {
  using Memory = DecodeMemory<head_dim, warps>;
  extern __shared__ __align__(128) char memory[];
  __shared__ float2 sums[group_leaves][pack_heads_limit];
  __shared__ int next_work;
  __shared__ int arrived;
  const int warp = threadIdx.x / 32;
  const std::uint32_t ring_memory = shared_address(memory) + warp * Memory::ring_bytes;
  const LeafResults results = {sums, memory + Memory::results_at, Memory::leaf_bytes(job.pack_heads)};
  let_successor_start();
  if (!early) wait_for_predecessor();
  const int total = job.plan.words[1] * job.packs;
  bool waits = early;  // still: in the first piece
  for (int work = blockIdx.x;; work = next_work) {
    __syncthreads();  // nobody reads the former piece's shared memory any more
    int drawn = 0;    // on its way while the piece is worked on
    if (!waits && threadIdx.x == 0) drawn = draw(job);
    Piece piece = {};
    if (work < total) piece = piece_of(job, work);
    for (int index = warp; index < group_leaves && work < total; index += warps) {
      const Leaf leaf = leaf_of(job, piece, index);
      if (leaf.first > leaf.last) continue;
      // What the ring asks for at once must not hold the token's own key.
      if (waits && leaf.last == piece.last && leaf.end_unit - leaf.first_unit < Memory::slots)
        wait_for_predecessor();
      UnitRing<head_dim, Memory::slots> ring(leaf, ring_memory);
      if (waits) wait_for_predecessor();
      const bf16* q = job.q + piece.token * job.q_stride + piece.q_head * head_dim;
      LeafState<head_dim> state;
      attend_leaf<head_dim, both_halves, capped>(leaf, ring, q, piece.heads, job.shape.scale,
                                                 job.shape.soft_cap, state);
      copy_async_wait<0>();
      __syncwarp();
      store_leaf<head_dim, both_halves>(
          state, piece.heads,
          reinterpret_cast<float*>(memory + Memory::results_at + index * Memory::leaf_bytes(job.pack_heads)),
          sums[index]);
    }
    if (waits) {
      wait_for_predecessor();
      if (threadIdx.x == 0) drawn = draw(job);  // the ticket may be in use until here
      waits = false;
    }
    if (threadIdx.x == 0) next_work = work_of(job, total, drawn);
    __syncthreads();
    if (work < total && finish_group<head_dim>(job, piece, results, arrived))
      fold_groups<head_dim>(job, piece);
    __syncthreads();
    if (next_work >= total) return;
  }
}

}  // namespace serveloop::kernels::cuda
