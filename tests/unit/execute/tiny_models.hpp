// Models of all five families for tests of the CPU executor: random weights, sizes that share no divisors with the
// kernels' tiles (or rows of whole blocks, where weights are quantised).
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "model/dequantise.hpp"
#include "model/model.hpp"
#include "model/numbers.hpp"

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

// 32 values as one block: near to them, with scales that F16 holds.
inline void quantise_block(model::Type type, const float* x, std::byte* out) {
  const auto put_16 = [&](std::size_t at, float value) {
    const std::uint16_t bits = model::to_f16(value);
    std::memcpy(out + at, &bits, 2);
    return model::from_f16(bits);
  };
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float size = std::max(std::fabs(*least), std::fabs(*most));
  const auto level = [](float v, float low, float high) { return std::clamp(std::nearbyint(v), low, high); };
  if (type == model::Type::q8_0) {
    const float d = put_16(0, size / 127);
    for (int i = 0; i < 32; ++i)
      out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(level(x[i] / d, -127, 127)));
    return;
  }
  const bool shifted = type == model::Type::q4_1;
  const float d = put_16(0, shifted ? (*most - *least) / 15 : size / 8);
  const float m = shifted ? put_16(2, *least) : -8 * d;
  for (int i = 0; i < 16; ++i) {
    const auto low = static_cast<unsigned>(level((x[i] - m) / d, 0, 15));
    const auto high = static_cast<unsigned>(level((x[i + 16] - m) / d, 0, 15));
    out[(shifted ? 4 : 2) + i] = static_cast<std::byte>(low | high << 4);
  }
}

// The model with its matrices stored as `types`, one after the other in turn; vectors in F32.
inline model::Model stored_as(const model::Model& from, const std::vector<model::Type>& types) {
  auto storage = std::make_shared<std::vector<std::vector<std::byte>>>();
  model::Model out = from;
  std::size_t turn = 0;
  for (const model::Slot& slot : model::slots(from.architecture)) {
    const model::Tensor& source = model::at(from.weights, slot);
    const bool matrix = model::kind_of(slot.role) == model::RoleKind::matrix;
    model::Tensor to{matrix ? types[turn++ % types.size()] : model::Type::f32, source.rows, source.cols,
                     nullptr};
    std::vector<float> values(source.values());
    model::dequantise(source.type, source.data, values.size(), values.data());
    std::vector<std::byte> bytes(to.bytes());
    const model::TypeInfo& block = model::info(to.type);
    for (std::size_t i = 0; i < values.size(); i += block.block_values) {
      std::byte* at = bytes.data() + i / block.block_values * block.block_bytes;
      const std::uint16_t half =
          to.type == model::Type::f16 ? model::to_f16(values[i]) : model::to_bf16(values[i]);
      if (block.block_values == 32)
        quantise_block(to.type, &values[i], at);
      else
        std::memcpy(at, to.type == model::Type::f32 ? static_cast<const void*>(&values[i]) : &half,
                    block.block_bytes);
    }
    storage->push_back(std::move(bytes));
    to.data = storage->back().data();
    model::at(out.weights, slot) = to;
  }
  if (out.architecture.tied_embeddings) out.weights.lm_head = out.weights.embedding;
  out.storage = storage;
  return out;
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
