// Where things lie in one head of one KV block; see kv.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kv.hpp"

namespace serveloop::kernels::cpu {

struct KvParts {
  std::int64_t panel_tokens;  // of K
  std::int64_t k_dim;         // elements of a token in K, padding included
  std::int64_t v_dim;         // elements from token to token in V
  std::int64_t k_elements;    // V begins here
  std::int64_t head_elements;
};

static inline KvParts kv_parts(const KvLayout& kv) {
  KvParts parts{};
  const std::int64_t d = kv.head_dim;
  parts.panel_tokens = kv.block_tokens < 16 ? kv.block_tokens : 16;
  parts.k_dim = kv.type == KvType::bf16 ? (d + 1) / 2 * 2 : d;
  parts.v_dim = (d + 15) / 16 * 16;
  parts.k_elements = parts.k_dim * kv.block_tokens;
  parts.head_elements = parts.k_elements + parts.v_dim * kv.block_tokens;
  return parts;
}

static inline std::size_t kv_element_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

// Element of K's panels that holds (token of the block, index along d).
static inline std::int64_t k_index(KvType type, const KvParts& parts, std::int64_t token, std::int64_t i) {
  const std::int64_t panel = token / parts.panel_tokens;
  const std::int64_t lane = token % parts.panel_tokens;
  const std::int64_t base = panel * parts.panel_tokens * parts.k_dim;
  if (type == KvType::bf16) return base + (i / 2 * parts.panel_tokens + lane) * 2 + i % 2;
  return base + i * parts.panel_tokens + lane;
}

}  // namespace serveloop::kernels::cpu
