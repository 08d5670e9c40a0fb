// Rotary positions (Su et al., RoFormer, 2021) with the write of K and V to the paged cache, and the table of
// angles, for Llama 3's scaling too. Thread safety: stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <vector>

#include "status.hpp"

namespace serveloop::kernels::cuda {

// Llama 3's change of the frequencies; factor 1: none.
struct RopeScaling {
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_positions = 8192.0;
};

// Angle a position, of the head_dim / 2 pairs: theta^(-2 i / head_dim), scaled. On the host, in F64.
std::vector<double> rope_frequencies(int head_dim, double theta, const RopeScaling& scaling);

// table: [positions, head_dim / 2] of (cos, sin), computed in F64, rounded to F32. frequency: [head_dim / 2],
// device memory.
Status fill_rope_table(const double* frequency, int positions, int head_dim, float2* table,
                       cudaStream_t stream);

enum class RopePairs {
  halves,     // element i turns with i + head_dim / 2: checkpoints in Hugging Face's layout
  neighbours  // element 2 i turns with 2 i + 1: Llama checkpoints in GGUF
};

struct RopeJob {
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;       // 64, 128 or 256
  int block_tokens = 16;  // a power of two
  RopePairs pairs = RopePairs::halves;

  // Where given: each head of Q and K passes RMSNorm (in F32) first. [head_dim]
  const __nv_bfloat16* q_norm = nullptr;
  const __nv_bfloat16* k_norm = nullptr;
  float norm_eps = 1e-6f;
  float norm_weight_offset = 0.0f;  // 1 for Gemma's weights

  const float2* table = nullptr;            // [positions, head_dim / 2]
  const std::int32_t* position = nullptr;   // [tokens]; -1: an unused row, which is left alone
  const std::int32_t* table_row = nullptr;  // [tokens], row of the block table
  const std::int32_t* block_table = nullptr;
  int table_stride = 0;  // blocks a row

  // [tokens, (q_heads + 2 kv_heads) head_dim]: Q, K, V; 16-byte aligned rows. Q is turned in place.
  __nv_bfloat16* qkv = nullptr;
  int tokens = 0;

  // [blocks, kv_heads, block_tokens, head_dim], block_stride elements from block to block (a multiple of 8).
  __nv_bfloat16* k_cache = nullptr;
  __nv_bfloat16* v_cache = nullptr;
  std::int64_t block_stride = 0;
};

// Turns Q and K and writes K and V to their slots. One warp a head; a token depends on its own row alone.
Status rope_and_store(const RopeJob& job, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
