// Tiny model files of each family: sizes that share few divisors, rows of 96 and 160 where blocks need 32.
#pragma once

#include <map>

#include "gguf_writer.hpp"

namespace serveloop::model::test {

inline constexpr std::uint64_t kHidden = 96, kIntermediate = 160, kQueries = 3 * 40, kKeys = 40,
                               kVocabulary = 311;
inline constexpr std::uint32_t kLayers = 7;

// Bytes that depend on the name, so that no two tensors are alike. Of F32, finite numbers near 1.
inline Bytes content(std::string_view name, std::uint64_t bytes, bool numbers) {
  Bytes out;
  std::uint32_t state = 2166136261u;
  for (const char c : name) state = (state ^ static_cast<unsigned char>(c)) * 16777619u;
  while (out.size() < bytes) {
    state = state * 1664525u + 1013904223u;
    put(out, numbers ? (0x3f800000u | state >> 9) : state);
  }
  out.resize(bytes);
  return out;
}

inline void add_matrix(GgufWriter& file, const std::string& name, std::uint64_t rows, std::uint64_t cols,
                       std::uint32_t type) {
  static const std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> blocks = {
      {0, {1, 4}}, {1, {1, 2}}, {30, {1, 2}}, {8, {32, 34}}, {2, {32, 18}}, {3, {32, 20}}};
  const auto [values, bytes] = blocks.at(type);
  file.tensor(name, {cols, rows}, type, content(name, rows * cols / values * bytes, type == 0));
}
inline void add_vector(GgufWriter& file, const std::string& name, std::uint64_t size) {
  file.tensor(name, {size}, 0, content(name, 4 * size, true));
}

inline void add_layer(GgufWriter& file, const std::string& family, std::uint32_t layer) {
  const std::string blk = "blk." + std::to_string(layer) + ".";
  add_vector(file, blk + "attn_norm.weight", kHidden);
  add_matrix(file, blk + "attn_q.weight", kQueries, kHidden, 3);
  add_matrix(file, blk + "attn_k.weight", kKeys, kHidden, 2);
  add_matrix(file, blk + "attn_v.weight", kKeys, kHidden, 8);
  if (family == "qwen2") {
    add_vector(file, blk + "attn_q.bias", kQueries);
    add_vector(file, blk + "attn_k.bias", kKeys);
    add_vector(file, blk + "attn_v.bias", kKeys);
  }
  if (family == "qwen3" || family == "gemma3") {
    add_vector(file, blk + "attn_q_norm.weight", 40);
    add_vector(file, blk + "attn_k_norm.weight", 40);
  }
  add_matrix(file, blk + "attn_output.weight", kHidden, kQueries, 30);  // 120 columns: no blocks
  if (family == "gemma3") add_vector(file, blk + "post_attention_norm.weight", kHidden);
  add_vector(file, blk + "ffn_norm.weight", kHidden);
  add_matrix(file, blk + "ffn_gate.weight", kIntermediate, kHidden, 3);
  add_matrix(file, blk + "ffn_up.weight", kIntermediate, kHidden, 1);
  add_matrix(file, blk + "ffn_down.weight", kHidden, kIntermediate, 8);
  if (family == "gemma3") add_vector(file, blk + "post_ffw_norm.weight", kHidden);
}

inline void add_vocabulary(GgufWriter& file) {
  std::vector<std::string> tokens;
  for (std::uint64_t i = 0; i < kVocabulary - 2; ++i) tokens.push_back("t" + std::to_string(i));
  tokens[5] = std::string("a\0b", 3);
  tokens[6] = "";
  file.text("tokenizer.ggml.model", "gpt2");
  file.text("tokenizer.ggml.pre", "smollm");
  file.texts("tokenizer.ggml.tokens", tokens);
  file.array("tokenizer.ggml.token_type", kI32, std::vector<std::int32_t>(tokens.size(), 1));
  file.array("tokenizer.ggml.scores", kF32, std::vector<float>(tokens.size(), -0.5f));
  file.texts("tokenizer.ggml.merges", {"t 1", "t 2"});
  file.u32("tokenizer.ggml.bos_token_id", 1);
  file.u32("tokenizer.ggml.eos_token_id", 308);
  file.number("tokenizer.ggml.add_bos_token", kBool, std::uint8_t{1});
  file.text("tokenizer.chat_template", "{{ messages }}");
}

// The keys that every family has. head_dim is 40, which is not hidden / heads.
inline GgufWriter tiny(const std::string& family, std::uint32_t layers = kLayers) {
  GgufWriter file;
  const std::string dot = family + ".";
  file.text("general.architecture", family);
  file.u32(dot + "block_count", layers);
  file.u32(dot + "context_length", 1009);
  file.u32(dot + "embedding_length", kHidden);
  file.u32(dot + "feed_forward_length", kIntermediate);
  file.u32(dot + "attention.head_count", 3);
  file.u32(dot + "attention.head_count_kv", 1);
  file.u32(dot + "attention.key_length", 40);
  file.u32(dot + "attention.value_length", 40);
  file.f32(dot + "attention.layer_norm_rms_epsilon", 1e-5f);
  file.f32(dot + "rope.freq_base", 70000.0f);
  if (family == "gemma3") {
    file.u32(dot + "attention.sliding_window", 29);
    file.text(dot + "rope.scaling.type", "linear");
    file.f32(dot + "rope.scaling.factor", 8.0f);
  }
  add_vocabulary(file);
  add_matrix(file, "token_embd.weight", kVocabulary, kHidden, 8);
  for (std::uint32_t layer = 0; layer < layers; ++layer) add_layer(file, family, layer);
  add_vector(file, "output_norm.weight", kHidden);
  return file;
}

}  // namespace serveloop::model::test
