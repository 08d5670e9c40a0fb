// The fields of a Hugging Face config.json that a forward pass needs, as plain data, with the default that
// the model's own configuration class has where one is absent. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace serveloop::model {

inline constexpr std::size_t kMostConfigBytes = std::size_t{1} << 20;
inline constexpr int kDeepestConfig = 16;  // arrays and objects in each other

// A rope_parameters object (transformers 5), or rope_scaling beside rope_theta (transformers 4).
struct RopeConfig {
  std::optional<double> theta, factor, low_freq_factor, high_freq_factor, original_positions, partial_rotary;
  std::string type = "default";
};

// Numbers are finite and not negative; whole numbers are below 2^32. Absent and null are the same.
struct ConfigJson {
  std::string architecture;  // architectures[0], else empty
  std::string model_type;
  std::optional<std::uint32_t> vocab_size, hidden_size, intermediate_size, num_hidden_layers,
      num_attention_heads, num_key_value_heads, head_dim, max_position_embeddings, sliding_window,
      max_window_layers, sliding_window_pattern;
  bool names_key_value_heads = false;  // also as null, which means one for each query head
  bool names_sliding_window = false;   // also as null, which means none
  std::optional<double> rms_norm_eps, query_pre_attn_scalar, attn_logit_softcapping, final_logit_softcapping,
      rope_local_base_freq;
  std::optional<bool> tie_word_embeddings, attention_bias, mlp_bias, use_sliding_window,
      use_bidirectional_attention;
  std::string activation;                      // hidden_activation, else hidden_act, else empty
  std::optional<RopeConfig> rope, local_rope;  // `local_rope`: rope_parameters.sliding_attention
  std::optional<std::vector<std::string>> layer_types;
};

Result<ConfigJson> read_config_json(std::string_view text, const std::string& source);

}  // namespace serveloop::model
