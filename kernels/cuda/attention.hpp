// Paged attention over a BF16 cache: of single query tokens (decode), split along the keys, and of chunks (prefill).
//
// The result of a token depends on its own query, position and cached keys and values alone, bit for bit: not on
// the other tokens of the call, on block ids, on the block size, or on the number of multiprocessors. Keys are
// cut at absolute positions, in one order:
//   leaf   128 keys: scores, their maximum, exp2 of the differences, one sum, one product with V from zero;
//   group  4 leaves (512 keys), folded in ascending order;
//   result all groups, folded in ascending order.
// Both launchers keep this order, so a token has the same bits whichever of them it goes through.
//
// Sources: online softmax (Milakov and Gimelshein, 2018), split keys (Dao et al., Flash-Decoding, 2023), pages
// (Kwon et al., PagedAttention, 2023), query heads of a group in one tile (Ainslie et al., GQA, 2023).
// Thread safety: launchers may be called from any thread; a workspace serves one stream at a time.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>
#include <cstdint>

#include "status.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int attention_leaf_tokens = 128;
inline constexpr int attention_group_tokens = 512;

struct AttentionShape {
  int q_heads = 0;  // a multiple of kv_heads
  int kv_heads = 0;
  int head_dim = 0;       // 64, 128 or 256
  int block_tokens = 16;  // a power of two, 16 to 1,024
  float scale = 1.0f;     // of the scores, commonly head_dim^-0.5
  float soft_cap = 0.0f;  // c > 0: scores become c tanh(score / c), after scaling
  int window = 0;         // w > 0: a token sees its own and the w - 1 keys before
};

// Which tokens ask. Device pointers.
struct AttentionRows {
  const std::int32_t* position =
      nullptr;  // [tokens], absolute; the token sees keys 0 to position; -1: an unused row
  const std::int32_t* table_row = nullptr;  // [tokens], its row of the block table
  int tokens = 0;
};

struct AttentionCache {
  const __nv_bfloat16* k = nullptr;           // [blocks, kv_heads, block_tokens, head_dim], 16-byte aligned
  const __nv_bfloat16* v = nullptr;           // same
  std::int64_t block_stride = 0;              // elements from one block to the next, a multiple of 8
  const std::int32_t* block_table = nullptr;  // [table rows, table_stride] block ids
  int table_stride = 0;                       // blocks a row
};

// The list of (token, group) pairs of one step with what is looked up for them, in device memory; layers with equal
// `window` share it.
struct AttentionPlan {
  std::int32_t* words = nullptr;  // attention_plan_words() of them, 16-byte aligned
  int max_tokens = 0;             // what the two buffers were sized for
  int max_items = 0;              // at least the sum over tokens of attention_items()
};

// Groups that a token at `position` reads.
__host__ __device__ constexpr int attention_items(int position, int window) {
  if (position < 0) return 0;
  const int first = window > 0 && position >= window ? position - window + 1 : 0;
  return position / attention_group_tokens - first / attention_group_tokens + 1;
}

std::size_t attention_plan_words(int max_tokens, int max_items);
std::size_t attention_workspace_bytes(const AttentionShape& shape, int max_tokens, int max_items);

// Makes the plan on the device; words[0] holds the number of items needed. If it exceeds max_items, the plan is
// empty and attention writes nothing, so a host that cannot bound the sum must look at words[0].
Status plan_attention(const AttentionRows& rows, int window, const AttentionPlan& plan, cudaStream_t stream);

// Once after allocation, and after a launch that failed.
Status clear_attention_workspace(void* workspace, std::size_t bytes, cudaStream_t stream);

// q: [tokens, q_heads, head_dim] with q_stride elements from token to token (a multiple of 2);
// out: [tokens, q_heads, head_dim], 8-byte aligned. Unused rows are left as they are. V of keys that the token
// doesn't see may hold anything, NaN too. No size but `rows.tokens` and the plan's reaches the launch
// configuration, so a captured graph serves any lengths up to the plan's capacity. early: plan, positions, tables and
// all keys but the tokens' own are read before the launches before this one have ended: as in attention_step.hpp.
Status decode_attention(const AttentionShape& shape, const AttentionRows& rows, const AttentionCache& cache,
                        const AttentionPlan& plan, const __nv_bfloat16* q, std::int64_t q_stride,
                        __nv_bfloat16* out, void* workspace, cudaStream_t stream, bool early = false);

// Chunks of sequences: consecutive rows of q and out that are consecutive tokens. Device pointers.
struct AttentionChunks {
  const std::int32_t* start = nullptr;      // [count + 1], first row of each chunk, ascending, and the end
  const std::int32_t* position = nullptr;   // [count], absolute position of the chunk's first token
  const std::int32_t* table_row = nullptr;  // [count], its row of the block table
  int count = 0;
  int rows = 0;  // at least start[count]: the launch is sized for it
  // Of the chunk that ends after most keys, its own among them; 0: not known. How many blocks share the keys of a tile
  // depends on it; bits don't.
  int most_keys = 0;
};

// q, out and V of keys past a token as in decode_attention(), but q 16-byte aligned with a q_stride that is a
// multiple of 8, and out 16-byte aligned. Keys and values of a chunk are in the cache before its queries ask, and
// finite: a value past a token that is no number would reach it. Needs no workspace. Rows outside of all chunks are
// left as they are. The host encodes descriptions of the cache and of q a call, nothing else reaches the device.
Status prefill_attention(const AttentionShape& shape, const AttentionChunks& chunks,
                         const AttentionCache& cache, const __nv_bfloat16* q, std::int64_t q_stride,
                         __nv_bfloat16* out, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
