// The paged KV cache as the CPU kernels read it, and attention over it. Thread safety: stateless; writes to distinct
// slots may run in parallel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace serveloop::kernels::cpu {

enum class KvType : std::uint8_t { f32, bf16, f16 };

// One layer's cache: block b starts at b * block_stride bytes and holds, a KV head after the other, K then V:
//   K  panels of P = min(16, block_tokens) tokens; f32, f16 [d][P], bf16 [ceil(d / 2)][P][2] (pairs along d, zero padded):
//      a vector has one token a lane
//   V  [block_tokens][round_up(d, 16)], zero padded: a vector has one element a lane
struct KvLayout {
  KvType type = KvType::bf16;
  int kv_heads = 0;
  int head_dim = 0;              // 1 to 512
  int block_tokens = 16;         // a power of two
  std::size_t block_stride = 0;  // bytes, at least kv_block_bytes()
};

std::size_t kv_head_bytes(const KvLayout& kv);   // K and V of one head in one block
std::size_t kv_block_bytes(const KvLayout& kv);  // all heads

// Stores K and V rows, rounded to the cache's type: nearest, ties to even; what F16 cannot hold becomes its largest number,
// infinities stay.
struct KvWrite {
  const KvLayout* kv = nullptr;
  void* cache = nullptr;
  const float* k = nullptr;  // [tokens, kv_heads, head_dim], ldk floats from token to token
  std::int64_t ldk = 0;
  const float* v = nullptr;
  std::int64_t ldv = 0;
  int tokens = 0;
  const std::int64_t* slots = nullptr;  // [tokens], block * block_tokens + offset; -1: not stored
};

// Consecutive tokens of one sequence, each attending to all keys up to its own position that its window holds; their
// own K and V are in the cache already. Keys are cut into leaves of 64 at absolute positions. For each query: scores of
// a leaf, soft cap, running maximum, exp, one sum in a fixed order, and the sum over V in ascending order onto the
// rescaled output (online softmax: Milakov and Gimelshein, 2018). Queries run together share loads, never a sum.
struct Attention {
  const KvLayout* kv = nullptr;
  const void* cache = nullptr;
  const std::int32_t* block_table = nullptr;  // block of positions [i * block_tokens, (i + 1) * block_tokens)
  int q_heads = 0;                            // a multiple of kv_heads
  int tokens = 0;
  int first_position = 0;
  float scale = 1.0f;        // times q . k
  float soft_cap = 0.0f;     // 0: none
  int window = 0;            // keys a query sees, its own included; 0: all
  const float* q = nullptr;  // [tokens, q_heads, head_dim], ldq floats from token to token
  std::int64_t ldq = 0;
  float* out = nullptr;  // as q
  std::int64_t ldo = 0;
  int head_begin = 0;  // query heads [head_begin, head_end); those that share a KV head are cheaper together
  int head_end = 0;
  void* scratch = nullptr;  // attention_scratch_bytes(*kv), 64-byte aligned, one for each thread
};

std::size_t attention_scratch_bytes(const KvLayout& kv);

}  // namespace serveloop::kernels::cpu
