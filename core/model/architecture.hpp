// An architecture as data: all that one forward pass needs to serve Llama, Mistral, Qwen2, Qwen3 and Gemma 3.
// No class a model; executors read these fields and know no names. Thread safety: plain values.
//
// The pass, per token, x: [hidden]
//   x = embedding[token] * embedding_scale
//   layer:  h = norm(x, attention_norm);  q, k, v = W h (+ bias where qkv_bias)
//           q, k = norm per head where qk_norm, then RoPE;  s = q k * attention_scale, then soft cap;  window
//           x += post(W_o attention);  h = norm(x, ffn_norm);  x += post(W_down (gate(W_gate h) * W_up h))
//           post: norm with post_attention_norm, post_ffn_norm where post_norms, else nothing
//   logits = lm_head norm(x, final_norm), then soft cap
//   norm(x, w) = x / sqrt(mean(x^2) + norm_eps) * w
// A norm's weight w is the whole multiplier, for Gemma too: GGUF files store it so; whoever reads the files of
// Hugging Face for Gemma, which store w - 1, adds the 1.
//
// Sources: RMSNorm (Zhang and Sennrich, 2019), RoPE (Su et al., 2021), GLU variants (Shazeer, 2020), grouped
// queries (Ainslie et al., 2023), Llama 3 (Grattafiori et al., 2024), Gemma 2 and 3 (2024, 2025), Qwen2,
// Qwen3.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace serveloop::model {

// Bounds that outside files are held to, so that every product of sizes fits 64 bits.
inline constexpr std::uint32_t kMostLayers = 1024;
inline constexpr std::uint32_t kMostFeatures = 1u << 20;  // hidden, intermediate, heads x head_dim
inline constexpr std::uint32_t kMostVocabulary = 1u << 24;
inline constexpr std::uint32_t kMostHeadDim = 1024;
inline constexpr std::uint32_t kMostPositions = 1u << 30;

enum class RopePairs : std::uint8_t {
  halves,     // element i turns with i + head_dim / 2: Hugging Face's layout, and GGUF's but for `llama`
  neighbours  // element 2 i turns with 2 i + 1: `llama` files of GGUF, whose q and k rows are permuted
};

enum class RopeScaling : std::uint8_t { none, linear, llama3 };

struct Rope {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                   // linear: positions are divided by it; llama3
  double low_freq_factor = 1.0;          // llama3
  double high_freq_factor = 4.0;         // llama3
  std::uint32_t original_positions = 0;  // llama3
  std::vector<float> divisors;  // [head_dim / 2], or empty: frequencies are divided by it (GGUF's llama3)
};

enum class RopeKind : std::uint8_t { global, local };  // index of Architecture::ropes

enum class Gate : std::uint8_t {
  swish,     // x / (1 + e^-x)
  gelu_tanh  // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
};

struct Layer {
  std::uint32_t window = 0;  // w > 0: a token sees its own and the w - 1 keys before it; 0: all before it
  RopeKind rope = RopeKind::global;
};

struct Architecture {
  std::string family;  // as its file names it; for people, no code may branch on it

  std::uint32_t vocabulary = 0;  // rows of the embedding; ids of the tokenizer are below it
  std::uint32_t hidden = 0;      // multiples of 32 where weights are quantised
  std::uint32_t intermediate = 0;
  std::uint32_t q_heads = 0;  // a multiple of kv_heads
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;       // even
  std::uint32_t max_positions = 0;  // what it was trained for
  std::vector<Layer> layers;

  float norm_eps = 1e-6f;
  Gate gate = Gate::swish;
  bool tied_embeddings = false;  // lm_head is the embedding
  bool qkv_bias = false;
  bool qk_norm = false;     // RMSNorm over head_dim, before RoPE
  bool post_norms = false;  // after attention and after the FFN, before the residual

  RopePairs rope_pairs = RopePairs::halves;
  std::array<Rope, 2> ropes;  // by RopeKind

  float embedding_scale = 1.0f;     // Gemma: sqrt(hidden), rounded to BF16
  float attention_scale = 0.0f;     // head_dim^-0.5, or query_pre_attn_scalar^-0.5
  float attention_soft_cap = 0.0f;  // c > 0: s becomes c tanh(s / c)
  float logit_soft_cap = 0.0f;      // likewise, of the logits

  std::uint32_t q_features() const { return q_heads * head_dim; }
  std::uint32_t kv_features() const { return kv_heads * head_dim; }
  std::uint32_t layer_count() const { return static_cast<std::uint32_t>(layers.size()); }
  const Rope& rope_of(const Layer& layer) const { return ropes[static_cast<std::size_t>(layer.rope)]; }
};

// Sizes within bounds and fitting each other, scales finite. `source` opens the error.
Status check(const Architecture& architecture, const std::string& source);

// Angle a position of the head_dim / 2 pairs: theta^(-2 i / head_dim), scaled. In F64.
std::vector<double> rope_frequencies(const Rope& rope, std::uint32_t head_dim);

// sqrt(hidden) rounded to BF16, as Gemma multiplies embeddings.
float gemma_embedding_scale(std::uint32_t hidden);

}  // namespace serveloop::model
