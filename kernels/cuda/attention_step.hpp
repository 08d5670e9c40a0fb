// rope_and_store() and decode_attention() in one launch, for steps of few tokens: what the two do one after the other,
// with the same bits in the cache and in the result. Made to answer soon, where decode_attention() is made to stream:
// four warps share a leaf, and cached keys and values are on their way before the kernel that makes Q has ended.
// Faster where tokens x kv_heads is at most the number of multiprocessors, and keys x kv_heads at most
// step_attention_most_keys times that (README). Thread safety: as attention.hpp has it.
#pragma once

#include "attention.hpp"
#include "rope.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int step_attention_most_keys = 384;  // a multiprocessor: three leaves

// Whether this launch is the faster way for so many tokens that attend to `keys` keys altogether.
constexpr bool takes_step_attention(int head_dim, int kv_heads, int tokens, std::uint64_t keys,
                                    int processors) {
  const auto heads = static_cast<std::uint64_t>(kv_heads), most = static_cast<std::uint64_t>(processors);
  return head_dim <= 128 && heads * static_cast<std::uint64_t>(tokens) <= most &&
         heads * keys <= step_attention_most_keys * most;
}

struct StepAttentionJob {
  AttentionShape shape;          // head_dim 64 or 128; what it shares with `rope` is equal there
  RopeJob rope;                  // qkv is only read; a sequence has one token at most
  AttentionPlan plan;            // of rope.position, rope.table_row and shape.window
  __nv_bfloat16* out = nullptr;  // [tokens, q_heads, head_dim], 8-byte aligned
  void* workspace = nullptr;     // as decode_attention() has it
  // Reads plan, positions, block tables and cached keys before the launches before it have ended. Only where, between
  // whatever wrote those and this one, lies a launch that lets nothing after it start before all before it has ended, as
  // gather_embedding() does.
  bool early = false;
};

Status step_attention(const StepAttentionJob& job, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
