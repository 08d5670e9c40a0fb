// The tensors of a model, and one table that names each: its role, its place, its shape and its name in GGUF.
// The table drives loading, random weights, memory plans and tests. Thread safety: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/architecture.hpp"
#include "model/types.hpp"

namespace serveloop::model {

// Absent tensors are null. Matrices are [output features, input features]: y = W x is a product with each
// row.
struct LayerWeights {
  Tensor attention_norm;  // [1, hidden]
  Tensor q;       // [q_heads head_dim, hidden], rows of a head in the order of Architecture::rope_pairs
  Tensor k;       // [kv_heads head_dim, hidden], likewise
  Tensor v;       // [kv_heads head_dim, hidden]
  Tensor q_bias;  // [1, q_heads head_dim]; qkv_bias
  Tensor k_bias;  // [1, kv_heads head_dim]; qkv_bias
  Tensor v_bias;  // [1, kv_heads head_dim]; qkv_bias
  Tensor q_norm;  // [1, head_dim]; qk_norm
  Tensor k_norm;  // [1, head_dim]; qk_norm
  Tensor o;       // [hidden, q_heads head_dim]
  Tensor post_attention_norm;  // [1, hidden]; post_norms
  Tensor ffn_norm;             // [1, hidden]
  Tensor gate;                 // [intermediate, hidden]
  Tensor up;                   // [intermediate, hidden]
  Tensor down;                 // [hidden, intermediate]
  Tensor post_ffn_norm;        // [1, hidden]; post_norms
};

struct Weights {
  Tensor embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Tensor final_norm;  // [1, hidden]
  Tensor lm_head;     // [vocabulary, hidden]; the embedding itself where tied_embeddings
};

// The numbers are part of random weights (random_value.hpp): never change one.
enum class Role : std::uint8_t {
  embedding = 0,
  attention_norm = 1,
  q = 2,
  k = 3,
  v = 4,
  q_bias = 5,
  k_bias = 6,
  v_bias = 7,
  q_norm = 8,
  k_norm = 9,
  o = 10,
  post_attention_norm = 11,
  ffn_norm = 12,
  gate = 13,
  up = 14,
  down = 15,
  post_ffn_norm = 16,
  final_norm = 17,
  lm_head = 18
};

enum class RoleKind : std::uint8_t { matrix, bias, norm };
RoleKind kind_of(Role role);

// One tensor that an architecture has.
struct Slot {
  Role role;
  std::int32_t layer;  // -1: outside the layers
  std::uint32_t rows, cols;
};

// Every tensor of a checked architecture, in the order of a pass; no lm_head where it is tied.
std::vector<Slot> slots(const Architecture& architecture);

// "blk.3.attn_q.weight"
std::string gguf_name(const Slot& slot);

// The slot's tensor. Requires room for its layer.
Tensor& at(Weights& weights, const Slot& slot);
const Tensor& at(const Weights& weights, const Slot& slot);

}  // namespace serveloop::model
