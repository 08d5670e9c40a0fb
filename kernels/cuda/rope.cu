// A warp turns two heads of one token, each as if it were alone: both are loaded before the first is stored. Few
// threads are wanted, as attention asks for keys from beside this kernel.
#include <cmath>

#include "hopper.cuh"
#include "launch.hpp"
#include "rope_head.cuh"

namespace serveloop::kernels::cuda {
namespace {

constexpr int block_warps = 4;
constexpr int warp_heads = 2;

template <int head_dim>
__global__ void __launch_bounds__(block_warps * 32) rope_kernel(const RopeJob job) {
  constexpr int size = head_dim / 32;
  let_successor_start();
  wait_for_predecessor();
  const int token = blockIdx.x;
  const int first = (blockIdx.y * block_warps + threadIdx.x / 32) * warp_heads;
  const int position = job.position[token];
  const int heads = job.q_heads + 2 * job.kv_heads;
  if (position < 0 || first >= heads) return;
  const int element = threadIdx.x % 32 * size;
  bf16* row = job.qkv + static_cast<std::int64_t>(token) * heads * head_dim + element;
  const int block = job.block_table[static_cast<std::int64_t>(job.table_row[token]) * job.table_stride +
                                    position / job.block_tokens];
  Elements<size> x[warp_heads];
#pragma unroll
  for (int i = 0; i < warp_heads; ++i)
    if (first + i < heads)
      x[i] = turned_head<head_dim>(job, row + (first + i) * head_dim, first + i, position);
#pragma unroll
  for (int i = 0; i < warp_heads; ++i) {
    const int head = first + i;
    if (head >= heads) return;
    if (head < job.q_heads) {
      store(row + head * head_dim, x[i]);
      continue;
    }
    const bool is_v = head >= job.q_heads + job.kv_heads;
    const int kv_head = (head - job.q_heads) % job.kv_heads;
    const std::int64_t slot =
        static_cast<std::int64_t>(kv_head) * job.block_tokens + position % job.block_tokens;
    store((is_v ? job.v_cache : job.k_cache) + block * job.block_stride + slot * head_dim + element, x[i]);
  }
}

__global__ void table_kernel(const double* frequency, std::int64_t entries, int pairs, float2* table) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= entries) return;
  double sine;
  double cosine;
  sincos(static_cast<double>(i / pairs) * frequency[i % pairs], &sine, &cosine);
  table[i] = {static_cast<float>(cosine), static_cast<float>(sine)};
}

bool good_head_dim(int head_dim) { return head_dim == 64 || head_dim == 128 || head_dim == 256; }

}  // namespace

std::vector<double> rope_frequencies(int head_dim, double theta, const RopeScaling& scaling) {
  constexpr double turn = 6.283185307179586476925;
  std::vector<double> frequency(head_dim / 2);
  for (int i = 0; i < head_dim / 2; ++i) {
    const double plain = std::pow(theta, -2.0 * i / head_dim);
    // 0 where a turn takes more than original / low positions, 1 where fewer than original / high.
    const double turns = scaling.original_positions * plain / turn;
    const double share = scaling.factor == 1.0 ? 1.0
                                               : (turns - scaling.low_freq_factor) /
                                                     (scaling.high_freq_factor - scaling.low_freq_factor);
    const double kept = std::fmin(1.0, std::fmax(0.0, share));
    frequency[i] = plain * kept + plain / scaling.factor * (1.0 - kept);
  }
  return frequency;
}

Status fill_rope_table(const double* frequency, int positions, int head_dim, float2* table,
                       cudaStream_t stream) {
  if (head_dim < 2 || head_dim % 2 != 0) return {"fill_rope_table: head_dim, expected an even number"};
  if (positions < 0) return {"fill_rope_table: positions, expected 0 or more"};
  if (positions == 0) return {};
  constexpr int threads = 256;
  const std::int64_t entries = static_cast<std::int64_t>(positions) * (head_dim / 2);
  table_kernel<<<static_cast<unsigned>((entries + threads - 1) / threads), threads, 0, stream>>>(
      frequency, entries, head_dim / 2, table);
  return launch_status("fill_rope_table");
}

Status rope_and_store(const RopeJob& job, cudaStream_t stream) {
  if (!good_head_dim(job.head_dim)) return {"rope_and_store: head_dim, expected 64, 128 or 256"};
  if (job.q_heads < 0 || job.kv_heads < 1) return {"rope_and_store: heads, expected at least one of K"};
  if (job.block_tokens < 1 || (job.block_tokens & (job.block_tokens - 1)) != 0)
    return {"rope_and_store: block_tokens, expected a power of two"};
  if (job.block_stride % 8 != 0) return {"rope_and_store: block_stride, expected a multiple of 8"};
  if (job.tokens < 0) return {"rope_and_store: tokens, expected 0 or more"};
  if (job.tokens == 0) return {};
  const int heads = job.q_heads + 2 * job.kv_heads;
  const dim3 grid(static_cast<unsigned>(job.tokens),
                  static_cast<unsigned>((heads + block_warps * warp_heads - 1) / (block_warps * warp_heads)));
  const Launch how{grid, dim3(block_warps * 32), 0, stream};
  switch (job.head_dim) {
    case 64: return launch("rope_and_store", rope_kernel<64>, how, job);
    case 128: return launch("rope_and_store", rope_kernel<128>, how, job);
    default: return launch("rope_and_store", rope_kernel<256>, how, job);
  }
}

}  // namespace serveloop::kernels::cuda
