#include "server/prompt_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace serveloop::server {

PromptEncoder::PromptEncoder(const Backend& backend) : backend_(backend) {
  const service::Text* text = backend.text();
  for (std::size_t id = 0; text != nullptr && id < text->tokenizer->size(); ++id)
    longest_token_bytes_ =
        std::max(longest_token_bytes_, text->tokenizer->bytes(static_cast<text::Token>(id)).size());
}

ApiStatus PromptEncoder::check_length(std::uint64_t prompt_tokens, std::uint64_t max_tokens,
                                      const char* parameter) const {
  const std::uint64_t longest = backend_.info().longest_request;
  if (prompt_tokens + std::max<std::uint64_t>(max_tokens, 1) <= longest) return {};
  return refuse(prompt_tokens < longest ? "max_tokens" : parameter,
                fmt::format("this server's context is {} tokens, prompt and answer together; the prompt has "
                            "at least {}, and {} "
                            "more were asked for",
                            longest, prompt_tokens, std::max<std::uint64_t>(max_tokens, 1)),
                "context_length_exceeded");
}

ApiResult<std::vector<text::Token>> PromptEncoder::encode(std::string_view text, bool add_special,
                                                          const char* parameter) const {
  if (ApiStatus fits = check_length(text.size() / longest_token_bytes_, 1, parameter); !fits)
    return tl::unexpected(fits.error());
  Result<text::Encoded> encoded =
      backend_.text()->tokenizer->encode(text, {text::Recognise::all, add_special});
  if (!encoded) return refuse(parameter, encoded.error().message());
  if (encoded->tokens.empty())
    return refuse(parameter, fmt::format("{}: the prompt has no token", parameter));
  return std::move(encoded->tokens);
}

ApiResult<std::vector<text::Token>> PromptEncoder::encode(const text::Conversation& conversation,
                                                          bool add_special) const {
  if (!backend_.text()->chat_template)
    return refuse("messages", "this model has no chat template; send a prompt to /v1/completions");
  const Result<std::string> rendered = backend_.text()->chat_template->render(conversation);
  if (!rendered) return refuse("messages", rendered.error().message());
  return encode(*rendered, add_special, "messages");
}

}  // namespace serveloop::server
