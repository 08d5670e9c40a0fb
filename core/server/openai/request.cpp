#include <fmt/format.h>

#include "server/openai/parameters.hpp"

namespace serveloop::server::openai {
namespace {

constexpr std::size_t kMostPromptTokens = std::size_t{4} << 20;

// A list is one prompt of ids, or several prompts of either form.
void read_list(Fields& in, const Model& model, const Json::Array& list, std::vector<Prompt>& prompts) {
  const std::uint32_t most = model.vocabulary - 1;
  const auto bad_ids = [&] {
    in.refuse("prompt", fmt::format("prompt: expected token ids as whole numbers from 0 to {}", most));
  };
  if (!list.empty() && list.front().as_integer()) {
    std::optional<std::vector<Token>> ids = ids_of(list, most);
    if (!ids) return bad_ids();
    return void(prompts.emplace_back(std::move(*ids)));
  }
  if (list.size() > kMostPrompts)
    return in.refuse("prompt",
                     fmt::format("prompt: expected at most {} prompts, found {}", kMostPrompts, list.size()));
  for (const Json& item : list) {
    if (const std::string* text = item.as_string()) {
      prompts.emplace_back(*text);
    } else if (const Json::Array* inner = item.as_array()) {
      std::optional<std::vector<Token>> ids = ids_of(*inner, most);
      if (!ids) return bad_ids();
      prompts.emplace_back(std::move(*ids));
    } else {
      return in.wrong("prompt", "a string, token ids, or a list of these", item);
    }
  }
}

bool empty(const Prompt& prompt) {
  return std::visit([](const auto& p) { return p.empty(); }, prompt);
}

// A wrong model is no wrong request: 404.
ApiError as_told(ApiError error) {
  if (error.code == "model_not_found") error.status = 404;
  return error;
}

ApiStatus check_object(const Json& body) {
  if (body.as_object() != nullptr) return {};
  return refuse("", fmt::format("body: expected a JSON object, found {}", body.describe()));
}

ApiStatus check_chat(const Model& model) {
  if (model.has_text) return {};
  return refuse("messages",
                fmt::format("model '{}' has no vocabulary, so it takes no messages; send token ids as "
                            "`prompt` to /v1/completions",
                            model.name));
}

}  // namespace

void read_prompts(Fields& in, const Model& model, std::vector<Prompt>& prompts) {
  const Json* prompt = in.find("prompt");
  if (prompt == nullptr) return in.refuse("prompt", "prompt: missing");
  if (const std::string* text = prompt->as_string())
    prompts.emplace_back(*text);
  else if (const Json::Array* list = prompt->as_array())
    read_list(in, model, *list, prompts);
  else
    return in.wrong("prompt", "a string, token ids, or a list of these", *prompt);
  if (prompts.empty()) return in.refuse("prompt", "prompt: expected at least one prompt");
  for (const Prompt& one : prompts) {
    if (!model.has_text && std::holds_alternative<std::string>(one))
      return in.refuse("prompt",
                       fmt::format("prompt: model '{}' has no vocabulary; expected token ids", model.name));
    if (!std::holds_alternative<std::string>(one) && empty(one))
      return in.refuse("prompt", "prompt: expected at least one token");
    if (!std::holds_alternative<std::string>(one) && std::get<1>(one).size() > kMostPromptTokens)
      return in.refuse("prompt", fmt::format("prompt: expected at most {} tokens", kMostPromptTokens));
  }
}

ApiResult<CompletionRequest> read_completion(const Json& body, const Model& model) {
  if (ApiStatus object = check_object(body); !object) return tl::unexpected(object.error());
  ApiStatus status;
  Fields in(body, "", status);
  CompletionRequest request;
  read_common(in, model, request.common);
  read_prompts(in, model, request.prompts);
  std::uint32_t alternatives = 0;
  if (in.whole("logprobs", 0, kMaxAlternatives, alternatives))
    request.common.delivery.logprobs = alternatives;
  request.common.ask.spec.sampling.alternatives = request.common.delivery.logprobs;
  if (request.prompts.size() * request.common.ask.spec.n > kMostParts)
    in.refuse("n", fmt::format("n: expected at most {} choices of all prompts together", kMostParts));
  if (!status) return tl::unexpected(as_told(status.error()));
  return request;
}

ApiResult<ChatRequest> read_chat(const Json& body, const Model& model) {
  if (ApiStatus object = check_object(body); !object) return tl::unexpected(object.error());
  ApiStatus status;
  Fields in(body, "", status);
  ChatRequest request;
  request.common.add_special_tokens = false;  // templates write what begins a sequence themselves
  read_model(in, model);
  if (ApiStatus chats = check_chat(model); status && !chats) status = chats;
  read_common(in, model, request.common);
  read_conversation(in, request.conversation);
  bool logprobs = false;
  std::uint32_t alternatives = 0;
  in.flag("logprobs", logprobs);
  if (in.whole("top_logprobs", 0, kMaxAlternatives, alternatives) && !logprobs && alternatives > 0)
    in.refuse("top_logprobs", "top_logprobs: needs \"logprobs\": true");
  if (logprobs) request.common.delivery.logprobs = alternatives;
  request.common.ask.spec.sampling.alternatives = request.common.delivery.logprobs;
  if (!status) return tl::unexpected(as_told(status.error()));
  return request;
}

ApiResult<TokenizeRequest> read_tokenize(const Json& body, const Model& model) {
  if (ApiStatus object = check_object(body); !object) return tl::unexpected(object.error());
  if (!model.has_text) return refuse("", fmt::format("model '{}' has no vocabulary", model.name));
  ApiStatus status;
  Fields in(body, "", status);
  TokenizeRequest request;
  read_model(in, model);
  in.flag("return_token_strs", request.strings);
  if (in.find("messages") != nullptr) {
    request.add_special_tokens = false;
    read_conversation(in, request.what.emplace<text::Conversation>());
  } else {
    std::string prompt;
    if (!in.text("prompt", JsonLimits{}.bytes, prompt))
      in.refuse("prompt", "prompt: expected a string, or messages");
    request.what = std::move(prompt);
  }
  in.flag("add_special_tokens", request.add_special_tokens);
  if (!status) return tl::unexpected(as_told(status.error()));
  return request;
}

ApiResult<std::vector<Token>> read_detokenize(const Json& body, const Model& model) {
  if (ApiStatus object = check_object(body); !object) return tl::unexpected(object.error());
  if (!model.has_text) return refuse("", fmt::format("model '{}' has no vocabulary", model.name));
  ApiStatus status;
  Fields in(body, "", status);
  std::vector<Token> tokens;
  read_model(in, model);
  if (!in.ids("tokens", kMostPromptTokens, model.vocabulary - 1, tokens))
    in.refuse("tokens", "tokens: missing");
  if (!status) return tl::unexpected(as_told(status.error()));
  return tokens;
}

}  // namespace serveloop::server::openai
