// Models of all five families for tests of the CPU executor: random weights, sizes that share no divisors with the
// kernels' tiles (or rows of whole blocks, where weights are quantised).
#pragma once

#include <serveloop/precision.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "model/model.hpp"
#include "stored_as.hpp"

namespace serveloop::execute::cpu::test {

// Rows of all matrices are multiples of 32.
inline model::Architecture whole_blocks(model::Architecture a) {
  a.hidden = 96;
  a.intermediate = 160;
  a.q_heads = 4;
  a.kv_heads = 2;
  a.head_dim = 40;
  a.ropes[0].divisors.clear();
  return a;
}

inline model::Architecture llama() {
  model::Architecture a;
  a.family = "llama";
  a.vocabulary = 331;
  a.hidden = 54;
  a.intermediate = 75;
  a.q_heads = 6;
  a.kv_heads = 2;
  a.head_dim = 14;
  a.max_positions = 1009;
  a.layers.resize(3);
  a.norm_eps = 1e-5f;
  a.attention_scale = 1 / std::sqrt(14.0f);
  a.rope_pairs = model::RopePairs::neighbours;
  a.ropes[0].theta = 500.0;
  a.ropes[0].scaling = model::RopeScaling::llama3;
  a.ropes[0].factor = 8;
  a.ropes[0].low_freq_factor = 1;
  a.ropes[0].high_freq_factor = 4;
  a.ropes[0].original_positions = 64;
  return a;
}

inline model::Architecture llama_tied() {
  model::Architecture a = llama();
  a.tied_embeddings = true;
  a.rope_pairs = model::RopePairs::halves;
  a.ropes[0].scaling = model::RopeScaling::none;
  a.ropes[0].divisors = {1, 1, 1, 1.5f, 2, 6, 8};
  return a;
}

inline model::Architecture mistral() {
  model::Architecture a = llama_tied();
  a.family = "mistral";
  a.tied_embeddings = false;
  a.ropes[0].divisors.clear();
  for (model::Layer& layer : a.layers) layer.window = 23;
  return a;
}

inline model::Architecture qwen2() {
  model::Architecture a = mistral();
  a.family = "qwen2";
  a.qkv_bias = true;
  for (model::Layer& layer : a.layers) layer.window = 0;
  return a;
}

inline model::Architecture qwen3() {
  model::Architecture a = qwen2();
  a.family = "qwen3";
  a.qkv_bias = false;
  a.qk_norm = true;
  return a;
}

inline model::Architecture gemma3() {
  model::Architecture a = qwen3();
  a.family = "gemma3";
  a.tied_embeddings = a.post_norms = true;
  a.gate = model::Gate::gelu_tanh;
  a.embedding_scale = model::gemma_embedding_scale(a.hidden);
  a.attention_scale = 0.21f;
  a.attention_soft_cap = 1.7f;
  a.logit_soft_cap = 2.3f;
  a.layers = {{19, model::RopeKind::local}, {0, model::RopeKind::global}, {19, model::RopeKind::local}};
  a.ropes[0].scaling = model::RopeScaling::linear;
  a.ropes[0].factor = 8;
  a.ropes[1].theta = 100;
  return a;
}

inline std::vector<model::Architecture> all_families() {
  return {llama(), llama_tied(), mistral(), qwen2(), qwen3(), gemma3()};
}

inline model::Model random(const model::Architecture& architecture, std::uint64_t seed = 3) {
  BOOST_REQUIRE(model::check(architecture, architecture.family));
  return model::random_model(architecture, seed).value();
}

// One plan for all operations: the inputs of products, and K and V.
inline std::vector<sl_op_plan> plans_of(std::span<const sl_op_key> keys, std::uint8_t input,
                                        std::uint8_t kv) {
  std::vector<sl_op_plan> plans(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].role == SL_ROLE_KV)
      plans[i].weight.dtype = plans[i].input.dtype = kv;
    else if (keys[i].role != SL_ROLE_EMBED && keys[i].role != SL_ROLE_NORM)
      plans[i].input.dtype = input;
  }
  return plans;
}

}  // namespace serveloop::execute::cpu::test
