// Configurations come from anywhere: size and nesting are bounded before anything is built, every field has
// its type, and the first wrong one is named.
#include "model/config_json.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/architecture.hpp"

namespace serveloop::model {
namespace {

using nlohmann::json;

std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 40 ? text.substr(0, 40) + "..." : text;
}

// An object's fields; the first error of all readers that share `status` stays.
class Fields {
 public:
  Fields(const json& object, std::string place, Status& status)
      : object_(object), place_(std::move(place)), status_(status) {}

  bool names(const char* key) const { return object_.contains(key); }
  // Null where absent or null.
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void read(const char* key, std::optional<std::uint32_t>& value) {
    const json* found = find(key);
    if (found == nullptr) return;
    if (found->is_number_unsigned() && found->get<std::uint64_t>() <= UINT32_MAX)
      value = static_cast<std::uint32_t>(found->get<std::uint64_t>());
    else
      refuse(key, "a whole number below 2^32", shown(*found));
  }
  void read(const char* key, std::optional<double>& value) {
    const json* found = find(key);
    if (found == nullptr) return;
    if (found->is_number() && std::isfinite(found->get<double>()) && found->get<double>() >= 0)
      value = found->get<double>();
    else
      refuse(key, "a number that is not negative", shown(*found));
  }
  void read(const char* key, std::optional<bool>& value) {
    const json* found = find(key);
    if (found == nullptr) return;
    if (found->is_boolean())
      value = found->get<bool>();
    else
      refuse(key, "true or false", shown(*found));
  }
  void read(const char* key, std::string& value) {
    const json* found = find(key);
    if (found == nullptr) return;
    if (found->is_string())
      value = found->get<std::string>();
    else
      refuse(key, "a string", shown(*found));
  }
  void read(const char* key, std::optional<std::vector<std::string>>& values) {
    const json* found = find(key);
    if (found == nullptr) return;
    if (!found->is_array() || found->size() > kMostLayers)
      return refuse(key, fmt::format("an array of at most {} strings", kMostLayers), shown(*found));
    values.emplace();
    for (const json& one : *found) {
      if (!one.is_string()) return refuse(key, "an array of strings", shown(one));
      values->push_back(one.get<std::string>());
    }
  }
  std::optional<Fields> object(const char* key) {
    const json* found = find(key);
    if (found == nullptr) return std::nullopt;
    if (found->is_object()) return Fields(*found, place_ + key + ".", status_);
    refuse(key, "an object", shown(*found));
    return std::nullopt;
  }
  void refuse(const char* key, std::string expected, std::string found) {
    if (status_) status_ = fail(place_ + key, std::move(expected), std::move(found));
  }

 private:
  const json& object_;
  std::string place_;
  Status& status_;
};

RopeConfig read_rope(Fields& in) {
  RopeConfig rope;
  in.read("type", rope.type);
  in.read("rope_type", rope.type);
  in.read("rope_theta", rope.theta);
  in.read("factor", rope.factor);
  in.read("low_freq_factor", rope.low_freq_factor);
  in.read("high_freq_factor", rope.high_freq_factor);
  in.read("original_max_position_embeddings", rope.original_positions);
  in.read("partial_rotary_factor", rope.partial_rotary);
  return rope;
}

void read_ropes(Fields& in, ConfigJson& config) {
  auto parameters = in.object("rope_parameters");
  if (parameters && (parameters->names("full_attention") || parameters->names("sliding_attention"))) {
    if (auto full = parameters->object("full_attention")) config.rope = read_rope(*full);
    if (auto sliding = parameters->object("sliding_attention")) config.local_rope = read_rope(*sliding);
  } else if (parameters) {
    config.rope = read_rope(*parameters);
  } else if (auto scaling = in.object("rope_scaling")) {
    config.rope = read_rope(*scaling);
  }
  if (!config.rope) config.rope.emplace();
  if (!config.rope->theta) in.read("rope_theta", config.rope->theta);
  if (!config.rope->partial_rotary) in.read("partial_rotary_factor", config.rope->partial_rotary);
}

void read_all(Fields& in, ConfigJson& config) {
  std::optional<std::vector<std::string>> architectures;
  in.read("architectures", architectures);
  if (architectures && !architectures->empty()) config.architecture = architectures->front();
  in.read("model_type", config.model_type);
  in.read("vocab_size", config.vocab_size);
  in.read("hidden_size", config.hidden_size);
  in.read("intermediate_size", config.intermediate_size);
  in.read("num_hidden_layers", config.num_hidden_layers);
  in.read("num_attention_heads", config.num_attention_heads);
  in.read("num_key_value_heads", config.num_key_value_heads);
  config.names_key_value_heads = in.names("num_key_value_heads");
  in.read("head_dim", config.head_dim);
  in.read("max_position_embeddings", config.max_position_embeddings);
  in.read("sliding_window", config.sliding_window);
  config.names_sliding_window = in.names("sliding_window");
  in.read("max_window_layers", config.max_window_layers);
  in.read("_sliding_window_pattern", config.sliding_window_pattern);
  in.read("sliding_window_pattern", config.sliding_window_pattern);
  in.read("rms_norm_eps", config.rms_norm_eps);
  in.read("query_pre_attn_scalar", config.query_pre_attn_scalar);
  in.read("attn_logit_softcapping", config.attn_logit_softcapping);
  in.read("final_logit_softcapping", config.final_logit_softcapping);
  in.read("rope_local_base_freq", config.rope_local_base_freq);
  in.read("tie_word_embeddings", config.tie_word_embeddings);
  in.read("attention_bias", config.attention_bias);
  in.read("mlp_bias", config.mlp_bias);
  in.read("use_sliding_window", config.use_sliding_window);
  in.read("use_bidirectional_attention", config.use_bidirectional_attention);
  in.read("hidden_act", config.activation);
  in.read("hidden_activation", config.activation);
  in.read("layer_types", config.layer_types);
  read_ropes(in, config);
}

// Depth outside strings, so that the parser never sees more.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepestConfig) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<ConfigJson> read_config_json(std::string_view text, const std::string& source) {
  if (text.size() > kMostConfigBytes)
    return fail(source, fmt::format("at most {} bytes", kMostConfigBytes), std::to_string(text.size()));
  if (too_deep(text)) return fail(source, fmt::format("at most {} levels", kDeepestConfig), "more");
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded()) return fail(source, "JSON", "what is none", "is it a whole config.json?");
  if (!root.is_object()) return fail(source, "an object", shown(root));
  Status status;
  ConfigJson config;
  Fields fields(root, source + ": ", status);
  read_all(fields, config);
  if (!status) return tl::unexpected(status.error());
  return config;
}

}  // namespace serveloop::model
