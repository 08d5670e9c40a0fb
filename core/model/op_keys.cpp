#include "model/op_keys.hpp"

namespace serveloop::model {

std::vector<sl_op_key> op_keys(const Architecture& a, const CanCompute& can) {
  constexpr std::int32_t kNoExpert = -1;
  const auto layers = static_cast<std::int32_t>(a.layers.size());
  std::vector<sl_op_key> keys;
  const auto add = [&](std::int32_t layer, std::uint16_t role, std::uint16_t able, std::uint32_t n,
                       std::uint32_t k) {
    const bool sliding = layer >= 0 && a.layers[static_cast<std::size_t>(layer)].window > 0;
    const std::uint16_t kind = sliding ? SL_LAYER_SLIDING : SL_LAYER_FULL;
    keys.push_back({layer, layers, kNoExpert, role, kind, SL_PHASE_BOTH, able, n, k});
  };
  add(-1, SL_ROLE_EMBED, can.embed, a.hidden, a.vocabulary);
  for (std::int32_t layer = 0; layer < layers; ++layer) {
    add(layer, SL_ROLE_NORM, can.norm, a.hidden, a.hidden);
    add(layer, SL_ROLE_Q, can.linear, a.q_features(), a.hidden);
    add(layer, SL_ROLE_K, can.linear, a.kv_features(), a.hidden);
    add(layer, SL_ROLE_V, can.linear, a.kv_features(), a.hidden);
    add(layer, SL_ROLE_O, can.linear, a.hidden, a.q_features());
    add(layer, SL_ROLE_GATE, can.linear, a.intermediate, a.hidden);
    add(layer, SL_ROLE_UP, can.linear, a.intermediate, a.hidden);
    add(layer, SL_ROLE_DOWN, can.linear, a.hidden, a.intermediate);
    add(layer, SL_ROLE_KV, can.kv, a.kv_features(), a.head_dim);
  }
  add(-1, SL_ROLE_LM_HEAD, can.linear, a.vocabulary, a.hidden);
  return keys;
}

}  // namespace serveloop::model
