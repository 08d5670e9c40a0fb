// One row of kFamilies a model class: the defaults of its configuration, and how its layers see.
#include "model/from_config.hpp"

#include <fmt/format.h>

#include <cmath>

#include "model/config_json.hpp"
#include "model/mapped_file.hpp"

namespace serveloop::model {
namespace {

enum class Windows : std::uint8_t { none, all, from_a_layer_on, periodic };

struct Family {
  const char* architecture;
  const char* model_type;
  std::uint32_t kv_heads;  // where absent; 0: as many as query heads
  std::uint32_t head_dim;  // where absent; 0: hidden / heads
  Windows windows;
  bool qkv_bias, qk_norm;
  bool gemma;
};
constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", "llama", 0, 0, Windows::none, false, false, false},
    {"MistralForCausalLM", "mistral", 8, 0, Windows::all, false, false, false},
    {"Qwen2ForCausalLM", "qwen2", 32, 0, Windows::from_a_layer_on, true, false, false},
    {"Qwen3ForCausalLM", "qwen3", 32, 128, Windows::from_a_layer_on, false, true, false},
    {"Gemma3ForCausalLM", "gemma3_text", 4, 256, Windows::periodic, false, true, true},
};
constexpr std::uint32_t kDefaultWindow = 4096;
constexpr std::uint32_t kDefaultMaxWindowLayers = 28;
constexpr std::uint32_t kGemma3Period = 6;

class Builder {
 public:
  Builder(const ConfigJson& config, const Family& family, const std::string& source)
      : config_(config), family_(family), source_(source) {}

  Result<Architecture> build() {
    a_.family = family_.model_type;
    sizes();
    switches();
    if (!status_) return tl::unexpected(status_.error());
    a_.layers.resize(*config_.num_hidden_layers);
    ropes();
    windows();
    if (!status_) return tl::unexpected(status_.error());
    if (Status good = check(a_, source_); !good) return tl::unexpected(good.error());
    return std::move(a_);
  }

 private:
  void refuse(std::string_view field, std::string expected, std::string found) {
    if (status_) status_ = fail(fmt::format("{}: {}", source_, field), std::move(expected), std::move(found));
  }
  std::uint32_t needed(const char* field, const std::optional<std::uint32_t>& value, std::uint32_t most) {
    if (value && *value >= 1 && *value <= most) return *value;
    refuse(field, fmt::format("a whole number from 1 to {}", most), value ? std::to_string(*value) : "none");
    return 1;
  }

  void sizes() {
    a_.vocabulary = needed("vocab_size", config_.vocab_size, kMostVocabulary);
    a_.hidden = needed("hidden_size", config_.hidden_size, kMostFeatures);
    a_.intermediate = needed("intermediate_size", config_.intermediate_size, kMostFeatures);
    a_.q_heads = needed("num_attention_heads", config_.num_attention_heads, kMostFeatures);
    a_.max_positions = needed("max_position_embeddings", config_.max_position_embeddings, kMostPositions);
    needed("num_hidden_layers", config_.num_hidden_layers, kMostLayers);
    const bool one_each = config_.names_key_value_heads || family_.kv_heads == 0;
    a_.kv_heads = config_.num_key_value_heads.value_or(one_each ? a_.q_heads : family_.kv_heads);
    if (a_.kv_heads == 0) refuse("num_key_value_heads", "a whole number from 1", "0");
    if (!config_.head_dim && family_.head_dim == 0 && a_.hidden % a_.q_heads != 0)
      refuse("hidden_size", fmt::format("a multiple of the {} heads, where head_dim is absent", a_.q_heads),
             std::to_string(a_.hidden));
    a_.head_dim =
        config_.head_dim.value_or(family_.head_dim != 0 ? family_.head_dim : a_.hidden / a_.q_heads);
    if (a_.head_dim == 0) refuse("head_dim", "a whole number from 1", "0");
  }

  void switches() {
    a_.norm_eps = static_cast<float>(config_.rms_norm_eps.value_or(1e-6));
    a_.tied_embeddings = config_.tie_word_embeddings.value_or(family_.gemma);
    a_.qkv_bias = family_.qkv_bias;
    a_.qk_norm = family_.qk_norm;
    a_.post_norms = family_.gemma;
    const double scalar = family_.gemma ? config_.query_pre_attn_scalar.value_or(256.0) : a_.head_dim;
    a_.attention_scale = static_cast<float>(1.0 / std::sqrt(scalar));
    if (family_.gemma) {
      a_.embedding_scale = gemma_embedding_scale(a_.hidden);
      a_.attention_soft_cap = static_cast<float>(config_.attn_logit_softcapping.value_or(0.0));
      a_.logit_soft_cap = static_cast<float>(config_.final_logit_softcapping.value_or(0.0));
    }
    const std::string activation = !config_.activation.empty() ? config_.activation
                                   : family_.gemma             ? "gelu_pytorch_tanh"
                                                               : "silu";
    if (activation == "gelu_pytorch_tanh")
      a_.gate = Gate::gelu_tanh;
    else if (activation != "silu")
      refuse("hidden_act", "silu or gelu_pytorch_tanh", fmt::format("'{}'", activation.substr(0, 40)));
    for (const auto& [field, value] : {std::pair{"attention_bias", config_.attention_bias},
                                       {"mlp_bias", config_.mlp_bias},
                                       {"use_bidirectional_attention", config_.use_bidirectional_attention}})
      if (value.value_or(false)) refuse(field, "false (true is not supported)", "true");
  }

  Rope rope(const RopeConfig& from, double default_theta) {
    Rope rope;
    rope.theta = from.theta.value_or(default_theta);
    if (from.partial_rotary.value_or(1.0) != 1.0)
      refuse("partial_rotary_factor", "1", fmt::format("{}", *from.partial_rotary));
    if (from.type == "default") return rope;
    const auto value = [&](const char* field, const std::optional<double>& given) {
      if (!given) refuse(field, fmt::format("a number, as RoPE type '{}' needs", from.type), "none");
      return given.value_or(1.0);
    };
    if (from.type != "linear" && from.type != "llama3") {
      refuse("rope_type", "default, linear or llama3", fmt::format("'{}'", from.type.substr(0, 40)));
      return rope;
    }
    rope.factor = value("factor", from.factor);
    rope.scaling = from.type == "linear" ? RopeScaling::linear : RopeScaling::llama3;
    if (rope.scaling == RopeScaling::linear) return rope;
    rope.low_freq_factor = value("low_freq_factor", from.low_freq_factor);
    rope.high_freq_factor = value("high_freq_factor", from.high_freq_factor);
    const double positions = value("original_max_position_embeddings", from.original_positions);
    if (positions < 1 || positions > kMostPositions)
      refuse("original_max_position_embeddings", fmt::format("1 to {}", kMostPositions),
             fmt::format("{}", positions));
    else
      rope.original_positions = static_cast<std::uint32_t>(positions);
    return rope;
  }

  void ropes() {
    a_.ropes[0] = rope(*config_.rope, family_.gemma ? 1e6 : 1e4);
    a_.ropes[1] = a_.ropes[0];
    if (!family_.gemma) {
      if (config_.local_rope) refuse("rope_parameters", "one set for all layers", "one a kind of layer");
      return;
    }
    RopeConfig local = config_.local_rope.value_or(RopeConfig());
    if (!local.theta) local.theta = config_.rope_local_base_freq;
    a_.ropes[1] = rope(local, 1e4);
  }

  std::uint32_t window() {
    const bool asked = family_.windows == Windows::from_a_layer_on
                           ? config_.use_sliding_window.value_or(false)
                           : family_.windows != Windows::none;
    if (!asked || (config_.names_sliding_window && !config_.sliding_window)) return 0;
    const std::uint32_t window = config_.sliding_window.value_or(kDefaultWindow);
    if (window < 1 || window > kMostPositions)
      refuse("sliding_window", fmt::format("1 to {}, or null", kMostPositions), std::to_string(window));
    return window;
  }

  void windows() {
    const std::uint32_t size = window();
    const std::uint32_t from = config_.max_window_layers.value_or(kDefaultMaxWindowLayers);
    const std::uint32_t period = config_.sliding_window_pattern.value_or(kGemma3Period);
    if (period < 1) return refuse("sliding_window_pattern", "a whole number from 1", "0");
    if (config_.layer_types && config_.layer_types->size() != a_.layers.size())
      return refuse("layer_types", fmt::format("{}, one a layer", a_.layers.size()),
                    std::to_string(config_.layer_types->size()));
    for (std::uint32_t i = 0; i < a_.layer_count(); ++i) {
      bool sliding = false;
      switch (family_.windows) {
        case Windows::none: break;
        case Windows::all: sliding = size > 0; break;
        case Windows::from_a_layer_on: sliding = size > 0 && i >= from; break;
        case Windows::periodic: sliding = (i + 1) % period != 0; break;
      }
      if (config_.layer_types && !layer_type(i, size, sliding)) return;
      a_.layers[i].window = sliding ? size : 0;
      if (family_.gemma && sliding) a_.layers[i].rope = RopeKind::local;
    }
  }

  // What the file says of layer i goes before the family's rule, where that has a choice.
  bool layer_type(std::uint32_t i, std::uint32_t size, bool& sliding) {
    const std::string& type = (*config_.layer_types)[i];
    const bool asked = type == "sliding_attention";
    const bool free = family_.windows == Windows::from_a_layer_on || family_.windows == Windows::periodic;
    const bool possible = free ? !asked || size > 0 || family_.gemma : asked == sliding;
    if ((asked || type == "full_attention") && possible) {
      sliding = asked;
      return true;
    }
    refuse("layer_types",
           asked ? "full_attention, as there is no window" : "full_attention or sliding_attention",
           fmt::format("'{}' for layer {}", type.substr(0, 40), i));
    return false;
  }

  const ConfigJson& config_;
  const Family& family_;
  const std::string& source_;
  Architecture a_;
  Status status_;
};

}  // namespace

Result<Architecture> architecture_from_config_json(std::string_view text, const std::string& source) {
  const auto config = read_config_json(text, source);
  if (!config) return tl::unexpected(config.error());
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
    if (config->architecture.empty() ? config->model_type == family.model_type
                                     : config->architecture == family.architecture)
      return Builder(*config, family, source).build();
  }
  const std::string& found = config->architecture.empty() ? config->model_type : config->architecture;
  return fail(source + ": architectures", "one of " + known, fmt::format("'{}'", found.substr(0, 60)));
}

Result<Architecture> load_config_json(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file) return tl::unexpected(file.error());
  const auto bytes = file->bytes();
  return architecture_from_config_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

}  // namespace serveloop::model
