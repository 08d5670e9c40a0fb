// /tokenize and /detokenize. On a worker's thread.
#include <fmt/format.h>

#include "server/api.hpp"
#include "server/json_text.hpp"
#include "server/openai/write.hpp"

namespace serveloop::server {
namespace {

ApiResult<Json> checked_body(const Api& api, const Request& request) {
  if (ApiResult<Caller> caller = caller_of(api, request); !caller) return tl::unexpected(caller.error());
  return json_body(request);
}

std::string token_strings(const text::Tokenizer& tokenizer, const std::vector<text::Token>& tokens) {
  std::string out = "[";
  for (const text::Token token : tokens) {
    if (out.size() > 1) out += ',';
    append_json(out, tokenizer.bytes(token));
  }
  return out + "]";
}

ApiResult<Response> tokenize(const Api& api, const Request& request) {
  const ApiResult<Json> body = checked_body(api, request);
  if (!body) return tl::unexpected(body.error());
  const ApiResult<openai::TokenizeRequest> asked = openai::read_tokenize(*body, model_of(api));
  if (!asked) return tl::unexpected(asked.error());
  const auto* text = std::get_if<std::string>(&asked->what);
  const ApiResult<std::vector<text::Token>> tokens =
      text != nullptr
          ? api.encoder.encode(*text, asked->add_special_tokens, "prompt")
          : api.encoder.encode(std::get<text::Conversation>(asked->what), asked->add_special_tokens);
  if (!tokens) return tl::unexpected(tokens.error());
  std::string out = fmt::format(R"({{"count":{},"max_model_len":{},"tokens":)", tokens->size(),
                                api.backend.info().longest_request);
  openai::append_ids(out, *tokens);
  out += R"(,"token_strs":)";
  out += asked->strings ? token_strings(*api.backend.text()->tokenizer, *tokens) : "null";
  return Response{200, "application/json", {}, out + "}"};
}

ApiResult<Response> detokenize(const Api& api, const Request& request) {
  const ApiResult<Json> body = checked_body(api, request);
  if (!body) return tl::unexpected(body.error());
  const ApiResult<std::vector<text::Token>> tokens = openai::read_detokenize(*body, model_of(api));
  if (!tokens) return tl::unexpected(tokens.error());
  const Result<std::string> text = api.backend.text()->tokenizer->decode(*tokens, false);
  if (!text) return refuse("tokens", text.error().message());
  return Response{200, "application/json", {}, R"({"prompt":)" + json_quoted(*text) + "}"};
}

}  // namespace

void add_texts(Router& router, Api& api) {
  router.add(Method::post, "/tokenize", [&api](Request& request) { return tokenize(api, request); });
  router.add(Method::post, "/detokenize", [&api](Request& request) { return detokenize(api, request); });
}

}  // namespace serveloop::server
