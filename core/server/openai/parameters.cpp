// What would change an answer and is not there is refused, never ignored; what is merely unknown is ignored, as
// OpenAI's servers do.
#include "server/openai/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "server/random_bits.hpp"
#include "text/stops.hpp"

namespace serveloop::server::openai {
namespace {

constexpr std::int64_t kMost32 = UINT32_MAX;
constexpr double kMostTemperature = 100;
constexpr double kMostPenalty = 2;  // presence, frequency: OpenAI's bounds
constexpr double kMostRepetition = 100;
constexpr double kMostBias = 100;

// Known to others, and an answer without them would not be what was asked for.
constexpr std::array kUnsupported{"suffix",
                                  "prompt_logprobs",
                                  "guided_json",
                                  "guided_regex",
                                  "guided_choice",
                                  "guided_grammar",
                                  "structured_outputs",
                                  "chat_template",
                                  "logits_processors",
                                  "bad_words",
                                  "prompt_embeds",
                                  "allowed_token_ids",
                                  "functions",
                                  "function_call",
                                  "audio",
                                  "truncate_prompt_tokens"};
constexpr std::array kFalseOnly{"echo", "use_beam_search", "continue_final_message",
                                "return_tokens_as_token_ids", "include_stop_str_in_output"};
// Samplers that are not there: only the number that leaves them out. Some clients send all they know of.
struct Neutral {
  const char* key;
  double value;
};
constexpr Neutral kNeutralOnly[] = {{"length_penalty", 1}, {"typical_p", 1},       {"mirostat", 0},
                                    {"mirostat_mode", 0},  {"xtc_probability", 0}, {"dry_multiplier", 0}};

// {"type": "text"} and ["text"] are what there is.
bool is_text(const Json* json) {
  return json != nullptr && json->as_string() != nullptr && *json->as_string() == "text";
}

void refuse_unsupported(Fields& in) {
  const auto unsupported = [&in](const char* key, const std::string& message) {
    in.refuse(key, message, "unsupported_parameter");
  };
  for (const char* key : kUnsupported)
    if (in.find(key) != nullptr) unsupported(key, fmt::format("{} is not supported", key));
  for (const char* key : kFalseOnly) {
    bool on = false;
    in.flag(key, on);
    if (on) unsupported(key, fmt::format("{}: only false is supported", key));
  }
  for (const auto& [key, neutral] : kNeutralOnly)
    if (const Json* found = in.find(key); found != nullptr && found->as_number() != neutral)
      unsupported(key, fmt::format("{}: only {} is supported", key, neutral));
  if (const Json* format = in.find("response_format"); format != nullptr && !is_text(format->find("type")))
    unsupported("response_format", "response_format: only {\"type\": \"text\"} is supported");
  if (const Json* found = in.find("modalities")) {
    const Json::Array* list = found->as_array();
    if (list == nullptr || list->size() != 1 || !is_text(&list->front()))
      unsupported("modalities", "modalities: only [\"text\"] is supported");
  }
}

void read_sampling(Fields& in, const Model& model, Sampling& sampling) {
  sampling.temperature = 1;
  in.number("temperature", 0, kMostTemperature, sampling.temperature);
  in.number("top_p", 0, 1, sampling.top_p);
  if (sampling.top_p <= 0) in.refuse("top_p", "top_p: expected a number above 0, up to 1, found 0");
  in.number("min_p", 0, 1, sampling.min_p);
  std::int64_t top_k = 0;
  if (in.whole("top_k", -1, kMost32, top_k))
    sampling.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(top_k, 0));
  in.number("repetition_penalty", 0, kMostRepetition, sampling.repetition);
  if (sampling.repetition <= 0)
    in.refuse("repetition_penalty", "repetition_penalty: expected a number above 0, found 0");
  in.number("presence_penalty", -kMostPenalty, kMostPenalty, sampling.presence);
  in.number("frequency_penalty", -kMostPenalty, kMostPenalty, sampling.frequency);
  sampling.seed = random_bits();
  if (const Json* seed = in.find("seed")) {
    if (const std::uint64_t* large = seed->as_large()) {
      sampling.seed = *large;
    } else {
      std::int64_t given = 0;
      if (in.whole("seed", INT64_MIN, INT64_MAX, given)) sampling.seed = static_cast<std::uint64_t>(given);
    }
  }
  in.ids("stop_token_ids", kMaxStopIds, model.vocabulary - 1, sampling.stop_ids);
}

void read_bias(Fields& in, const Model& model, Sampling& sampling) {
  const Json::Object* biases = in.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMaxBiases)
    return in.refuse("logit_bias", fmt::format("logit_bias: expected at most {} tokens, found {}", kMaxBiases,
                                               biases->size()));
  for (const auto& [key, value] : *biases) {
    std::uint32_t token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token >= model.vocabulary)
      return in.refuse("logit_bias", fmt::format("logit_bias: expected token ids from 0 to {} as keys",
                                                 model.vocabulary - 1));
    const std::optional<double> bias = value.as_number();
    if (!bias || !(*bias >= -kMostBias && *bias <= kMostBias))
      return in.wrong("logit_bias." + key, fmt::format("a number from {} to {}", -kMostBias, kMostBias),
                      value);
    for (const TokenBias& before : sampling.bias)
      if (before.token == token)
        return in.refuse("logit_bias", fmt::format("logit_bias: token {} stands there twice", token));
    sampling.bias.push_back({token, static_cast<float>(*bias)});
  }
}

void read_stops(Fields& in, const Model& model, std::vector<std::string>& stops) {
  const Json* stop = in.find("stop");
  if (stop == nullptr) return;
  if (const std::string* one = stop->as_string()) {
    stops.push_back(*one);
  } else if (const Json::Array* list = stop->as_array()) {
    if (list->size() > text::kMaxStops)
      return in.refuse(
          "stop", fmt::format("stop: expected at most {} strings, found {}", text::kMaxStops, list->size()));
    for (const Json& item : *list) {
      if (item.as_string() == nullptr) return in.wrong("stop", "strings", item);
      stops.push_back(*item.as_string());
    }
  } else {
    return in.wrong("stop", "a string or a list of strings", *stop);
  }
  for (const std::string& text : stops)
    if (text.empty() || text.size() > text::kMaxStopBytes)
      return in.refuse("stop", fmt::format("stop: expected strings of 1 to {} bytes, found one of {}",
                                           text::kMaxStopBytes, text.size()));
  if (!stops.empty() && !model.has_text)
    in.refuse("stop", "stop: this model has no vocabulary; use stop_token_ids");
}

void read_limits(Fields& in, requests::RequestSpec& spec) {
  std::uint32_t most = 0;
  for (const char* key : {"max_tokens", "max_completion_tokens"})  // the newer name wins
    if (in.whole(key, 1, kMost32, most)) spec.max_tokens = most;
  in.whole("min_tokens", 0, kMost32, spec.sampling.min_tokens);
  if (spec.max_tokens && spec.sampling.min_tokens > *spec.max_tokens)
    in.refuse("min_tokens", fmt::format("min_tokens: expected at most max_tokens = {}, found {}",
                                        *spec.max_tokens, spec.sampling.min_tokens));
  in.whole("n", 1, kMostChoices, spec.n);
  std::uint32_t best_of = spec.n;
  in.whole("best_of", 1, kMostChoices, best_of);
  if (best_of != spec.n)
    in.refuse("best_of", "best_of: only what n states is supported", "unsupported_parameter");
  in.text("cache_salt", kMostNameBytes, spec.cache_salt);
}

void read_delivery(Fields& in, const Model& model, Delivery& delivery) {
  in.flag("stream", delivery.stream);
  delivery.token_ids = !model.has_text;
  in.flag("return_token_ids", delivery.token_ids);
  if (in.find("stream_options") == nullptr) return;
  if (!delivery.stream)
    return in.refuse("stream_options", "stream_options: only allowed with \"stream\": true");
  if (in.object("stream_options") == nullptr) return;
  ApiStatus status;
  Fields options(*in.find("stream_options"), "stream_options.", status);
  options.flag("include_usage", delivery.include_usage);
  options.flag("continuous_usage_stats", delivery.continuous_usage);
  if (!status) in.refuse(status.error().parameter, status.error().message);
  delivery.continuous_usage = delivery.continuous_usage && delivery.include_usage;
}

}  // namespace

void read_model(Fields& in, const Model& model) {
  std::string name;
  in.text("model", 4096, name);
  if (name.empty() || name == model.name) return;
  in.refuse("model", fmt::format("model '{}' does not exist; this server has '{}'", name, model.name),
            "model_not_found");
}

void read_common(Fields& in, const Model& model, Common& common) {
  read_model(in, model);
  refuse_unsupported(in);
  requests::RequestSpec& spec = common.ask.spec;
  read_sampling(in, model, spec.sampling);
  read_bias(in, model, spec.sampling);
  read_limits(in, spec);
  read_stops(in, model, common.ask.stops);
  in.flag("ignore_eos", common.ask.ignore_eos);
  in.flag("skip_special_tokens", common.ask.skip_special);
  in.flag("add_special_tokens", common.add_special_tokens);
  read_delivery(in, model, common.delivery);
  read_extensions(in, spec);
}

}  // namespace serveloop::server::openai
