// Any bytes are a request's body, or one error that JSON can tell; what is taken keeps the bounds, and its conversation
// renders or fails within the template language's own.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/errors.hpp"
#include "server/openai/request.hpp"
#include "server/toml_value.hpp"

using namespace serveloop;
using namespace serveloop::server;

namespace {

const openai::Model kModel{"m", 1000, true};

void check(const ApiError& error) {
  if (error.status < 400 || error.message.empty()) std::abort();
  if (!parse_json(error_body(error))) std::abort();
}

void check(const openai::Common& common) {
  const requests::RequestSpec& spec = common.ask.spec;
  const Sampling& s = spec.sampling;
  if (spec.n < 1 || spec.n > openai::kMostChoices || (spec.max_tokens && *spec.max_tokens < 1)) std::abort();
  if (!(s.temperature >= 0 && s.top_p > 0 && s.top_p <= 1 && s.min_p >= 0 && s.min_p <= 1 &&
        s.repetition > 0))
    std::abort();
  if (!(s.presence >= -2 && s.presence <= 2 && s.frequency >= -2 && s.frequency <= 2)) std::abort();
  if (s.bias.size() > kMaxBiases || s.alternatives.value_or(0) > kMaxAlternatives) std::abort();
  for (const TokenBias& bias : s.bias)
    if (bias.token >= kModel.vocabulary) std::abort();
}

const text::ChatTemplate& chat_template() {
  static const text::ChatTemplate made = [] {
    text::ChatTemplate::Options options;
    options.limits.fuel = 100'000;
    return text::ChatTemplate::create(
               "{% for m in messages %}{{ m.role }}{{ m.content }}{{ m|tojson }}{% endfor %}{{ tools|tojson "
               "}}",
               options)
        .value();
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Json> body = parse_json({reinterpret_cast<const char*>(data), size});
  if (!body) {
    if (body.error().message().find('\n') != std::string::npos) std::abort();
    return 0;
  }
  if (const auto completion = openai::read_completion(*body, kModel)) {
    check(completion->common);
    if (completion->prompts.empty() || completion->prompts.size() > openai::kMostPrompts) std::abort();
  } else {
    check(completion.error());
  }
  if (const auto chat = openai::read_chat(*body, kModel)) {
    check(chat->common);
    (void)chat_template().render(chat->conversation);
  } else {
    check(chat.error());
  }
  if (const auto texts = openai::read_tokenize(*body, kModel); !texts) check(texts.error());
  if (const auto tokens = openai::read_detokenize(*body, kModel); !tokens) check(tokens.error());
  (void)to_toml(*body);
  return 0;
}
