// The table of roles: which tensors there are. Rows are ordered as Role is numbered.
#include "model/weights.hpp"

#include <fmt/format.h>

#include <cassert>

namespace serveloop::model {
namespace {

struct RoleRow {
  Role role;
  RoleKind kind;
  const char* gguf;                // in a layer after "blk.N."
  Tensor LayerWeights::*in_layer;  // one of the two
  Tensor Weights::*outside;
};

constexpr RoleRow kRoles[] = {
    {Role::embedding, RoleKind::matrix, "token_embd.weight", nullptr, &Weights::embedding},
    {Role::attention_norm, RoleKind::norm, "attn_norm.weight", &LayerWeights::attention_norm, nullptr},
    {Role::q, RoleKind::matrix, "attn_q.weight", &LayerWeights::q, nullptr},
    {Role::k, RoleKind::matrix, "attn_k.weight", &LayerWeights::k, nullptr},
    {Role::v, RoleKind::matrix, "attn_v.weight", &LayerWeights::v, nullptr},
    {Role::q_bias, RoleKind::bias, "attn_q.bias", &LayerWeights::q_bias, nullptr},
    {Role::k_bias, RoleKind::bias, "attn_k.bias", &LayerWeights::k_bias, nullptr},
    {Role::v_bias, RoleKind::bias, "attn_v.bias", &LayerWeights::v_bias, nullptr},
    {Role::q_norm, RoleKind::norm, "attn_q_norm.weight", &LayerWeights::q_norm, nullptr},
    {Role::k_norm, RoleKind::norm, "attn_k_norm.weight", &LayerWeights::k_norm, nullptr},
    {Role::o, RoleKind::matrix, "attn_output.weight", &LayerWeights::o, nullptr},
    {Role::post_attention_norm, RoleKind::norm, "post_attention_norm.weight",
     &LayerWeights::post_attention_norm, nullptr},
    {Role::ffn_norm, RoleKind::norm, "ffn_norm.weight", &LayerWeights::ffn_norm, nullptr},
    {Role::gate, RoleKind::matrix, "ffn_gate.weight", &LayerWeights::gate, nullptr},
    {Role::up, RoleKind::matrix, "ffn_up.weight", &LayerWeights::up, nullptr},
    {Role::down, RoleKind::matrix, "ffn_down.weight", &LayerWeights::down, nullptr},
    {Role::post_ffn_norm, RoleKind::norm, "post_ffw_norm.weight", &LayerWeights::post_ffn_norm, nullptr},
    {Role::final_norm, RoleKind::norm, "output_norm.weight", nullptr, &Weights::final_norm},
    {Role::lm_head, RoleKind::matrix, "output.weight", nullptr, &Weights::lm_head},
};

constexpr bool table_is_ordered() {
  for (std::size_t i = 0; i < std::size(kRoles); ++i)
    if (kRoles[i].role != Role{static_cast<std::uint8_t>(i)}) return false;
  return true;
}
static_assert(table_is_ordered());

const RoleRow& row_of(Role role) { return kRoles[static_cast<std::size_t>(role)]; }

void add_layer(const Architecture& a, std::int32_t layer, std::vector<Slot>& all) {
  const std::uint32_t hidden = a.hidden, q = a.q_features(), kv = a.kv_features();
  all.push_back({Role::attention_norm, layer, 1, hidden});
  all.push_back({Role::q, layer, q, hidden});
  all.push_back({Role::k, layer, kv, hidden});
  all.push_back({Role::v, layer, kv, hidden});
  if (a.qkv_bias) {
    all.push_back({Role::q_bias, layer, 1, q});
    all.push_back({Role::k_bias, layer, 1, kv});
    all.push_back({Role::v_bias, layer, 1, kv});
  }
  if (a.qk_norm) {
    all.push_back({Role::q_norm, layer, 1, a.head_dim});
    all.push_back({Role::k_norm, layer, 1, a.head_dim});
  }
  all.push_back({Role::o, layer, hidden, q});
  if (a.post_norms) all.push_back({Role::post_attention_norm, layer, 1, hidden});
  all.push_back({Role::ffn_norm, layer, 1, hidden});
  all.push_back({Role::gate, layer, a.intermediate, hidden});
  all.push_back({Role::up, layer, a.intermediate, hidden});
  all.push_back({Role::down, layer, hidden, a.intermediate});
  if (a.post_norms) all.push_back({Role::post_ffn_norm, layer, 1, hidden});
}

}  // namespace

RoleKind kind_of(Role role) { return row_of(role).kind; }

std::vector<Slot> slots(const Architecture& a) {
  std::vector<Slot> all;
  all.push_back({Role::embedding, -1, a.vocabulary, a.hidden});
  for (std::uint32_t layer = 0; layer < a.layer_count(); ++layer)
    add_layer(a, static_cast<std::int32_t>(layer), all);
  all.push_back({Role::final_norm, -1, 1, a.hidden});
  if (!a.tied_embeddings) all.push_back({Role::lm_head, -1, a.vocabulary, a.hidden});
  return all;
}

std::string gguf_name(const Slot& slot) {
  const char* name = row_of(slot.role).gguf;
  return slot.layer < 0 ? std::string(name) : fmt::format("blk.{}.{}", slot.layer, name);
}

Tensor& at(Weights& weights, const Slot& slot) {
  const RoleRow& row = row_of(slot.role);
  if (row.outside != nullptr) return weights.*row.outside;
  assert(slot.layer >= 0 && static_cast<std::size_t>(slot.layer) < weights.layers.size());
  return weights.layers[static_cast<std::size_t>(slot.layer)].*row.in_layer;
}

const Tensor& at(const Weights& weights, const Slot& slot) { return at(const_cast<Weights&>(weights), slot); }

}  // namespace serveloop::model
