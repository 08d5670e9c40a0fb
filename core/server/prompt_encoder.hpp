// Prompts to tokens, and whether they fit the context. Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/backend.hpp"
#include "server/errors.hpp"
#include "text/tokenizer.hpp"

namespace serveloop::server {

class PromptEncoder {
 public:
  explicit PromptEncoder(const Backend& backend);

  // Special tokens that stand in the text are recognised, as by OpenAI-compatible servers: the client writes the whole
  // prompt. A text that cannot fit, however few tokens it may be, is refused before it is tokenised.
  ApiResult<std::vector<text::Token>> encode(std::string_view text, bool add_special,
                                             const char* parameter) const;
  ApiResult<std::vector<text::Token>> encode(const text::Conversation& conversation, bool add_special) const;
  // 400 with code context_length_exceeded; of `parameter` where the prompt alone is too long, else of max_tokens.
  ApiStatus check_length(std::uint64_t prompt_tokens, std::uint64_t max_tokens, const char* parameter) const;

 private:
  const Backend& backend_;
  std::size_t longest_token_bytes_ = 1;
};

}  // namespace serveloop::server
