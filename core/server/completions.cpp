// /v1/completions and /v1/chat/completions: from a body to a Generation. On a worker's thread.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/api.hpp"
#include "server/generation.hpp"

namespace serveloop::server {
namespace {

using openai::Common;
using openai::Token;
using Prompts = std::vector<std::vector<Token>>;

constexpr std::uint32_t kCompletionTokens = 16;  // OpenAI's default for max_tokens of /v1/completions

// A key names its tenant; a body may only agree.
ApiStatus take_labels(const Caller& caller, requests::RequestSpec& spec) {
  if (!caller.tenant.empty() && !spec.tenant.empty() && spec.tenant != caller.tenant)
    return refuse("serveloop.tenant",
                  fmt::format("serveloop.tenant: the API key is another tenant's than '{}'", spec.tenant));
  spec.key = caller.key;
  if (!caller.tenant.empty()) spec.tenant = caller.tenant;
  return {};
}

// More than may ever wait at one time would be answered 429 for ever.
ApiStatus check_count(const Api& api, std::size_t prompts, std::uint32_t n) {
  const std::uint32_t most = api.backend.info().max_waiting;
  if (prompts * n <= most) return {};
  return refuse(prompts > 1 ? "prompt" : "n",
                fmt::format("{} choices were asked for, of {} prompts; this server lets {} wait", prompts * n,
                            prompts, most));
}

openai::Shape shape_of(const Api& api, const Request& request, const Common& common, const Prompts& prompts,
                       bool chat) {
  openai::Shape shape;
  shape.chat = chat;
  shape.delivery = common.delivery;
  shape.id = (chat ? "chatcmpl-" : "cmpl-") + request.id;
  shape.model = api.backend.info().model;
  shape.created_s = static_cast<std::uint64_t>(std::time(nullptr));
  shape.n = common.ask.spec.n;
  for (const auto& prompt : prompts) shape.prompt_tokens.push_back(static_cast<std::uint32_t>(prompt.size()));
  shape.text = api.backend.text();
  if (common.delivery.token_ids && shape.text != nullptr) shape.prompts = prompts;
  shape.stop_ids = common.ask.spec.sampling.stop_ids;
  return shape;
}

void start(const Api& api, const Request& request, Common common, Prompts prompts, bool chat,
           const std::shared_ptr<Exchange>& exchange) {
  openai::Shape shape = shape_of(api, request, common, prompts, chat);
  std::vector<service::Ask> asks;
  for (auto& prompt : prompts) {
    asks.push_back(common.ask);
    asks.back().spec.prompt = std::move(prompt);
  }
  std::make_shared<Generation>(api.backend, exchange, std::move(shape))->run(std::move(asks));
}

ApiStatus complete(const Api& api, const Request& request, const std::shared_ptr<Exchange>& exchange) {
  const ApiResult<Caller> caller = caller_of(api, request);
  if (!caller) return tl::unexpected(caller.error());
  const ApiResult<Json> body = json_body(request);
  if (!body) return tl::unexpected(body.error());
  ApiResult<openai::CompletionRequest> asked = openai::read_completion(*body, model_of(api));
  if (!asked) return tl::unexpected(asked.error());
  Common& common = asked->common;
  if (ApiStatus labelled = take_labels(*caller, common.ask.spec); !labelled) return labelled;
  if (ApiStatus few = check_count(api, asked->prompts.size(), common.ask.spec.n); !few) return few;
  Prompts prompts;
  std::size_t longest = 0;
  for (openai::Prompt& prompt : asked->prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      ApiResult<std::vector<Token>> tokens = api.encoder.encode(*text, common.add_special_tokens, "prompt");
      if (!tokens) return tl::unexpected(tokens.error());
      prompts.push_back(std::move(*tokens));
    } else {
      prompts.push_back(std::move(std::get<std::vector<Token>>(prompt)));
    }
    longest = std::max(longest, prompts.back().size());
  }
  requests::RequestSpec& spec = common.ask.spec;
  if (ApiStatus fits = api.encoder.check_length(longest, spec.max_tokens.value_or(1), "prompt"); !fits)
    return fits;
  if (!spec.max_tokens)
    spec.max_tokens = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        std::max(kCompletionTokens, spec.sampling.min_tokens), api.backend.info().longest_request - longest));
  start(api, request, std::move(common), std::move(prompts), false, exchange);
  return {};
}

ApiStatus chat(const Api& api, const Request& request, const std::shared_ptr<Exchange>& exchange) {
  const ApiResult<Caller> caller = caller_of(api, request);
  if (!caller) return tl::unexpected(caller.error());
  const ApiResult<Json> body = json_body(request);
  if (!body) return tl::unexpected(body.error());
  ApiResult<openai::ChatRequest> asked = openai::read_chat(*body, model_of(api));
  if (!asked) return tl::unexpected(asked.error());
  Common& common = asked->common;
  if (ApiStatus labelled = take_labels(*caller, common.ask.spec); !labelled) return labelled;
  if (ApiStatus few = check_count(api, 1, common.ask.spec.n); !few) return few;
  ApiResult<std::vector<Token>> tokens = api.encoder.encode(asked->conversation, common.add_special_tokens);
  if (!tokens) return tl::unexpected(tokens.error());
  const std::uint32_t most = common.ask.spec.max_tokens.value_or(1);
  if (ApiStatus fits = api.encoder.check_length(tokens->size(), most, "messages"); !fits) return fits;
  start(api, request, std::move(common), {std::move(*tokens)}, true, exchange);
  return {};
}

using Answerer = ApiStatus (*)(const Api&, const Request&, const std::shared_ptr<Exchange>&);

Handler handler_of(Answerer answer, const Api& api) {
  return [answer, &api](const Request& request, const std::shared_ptr<Exchange>& exchange) {
    if (ApiStatus well = answer(api, request, exchange); !well) exchange->respond(to_response(well.error()));
  };
}

}  // namespace

void add_completions(Router& router, Api& api) {
  router.add(Method::post, "/v1/completions", handler_of(complete, api));
  router.add(Method::post, "/v1/chat/completions", handler_of(chat, api));
}

}  // namespace serveloop::server
