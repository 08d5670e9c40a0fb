// What an answer looks like: all that its writers need to know of the request. Plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/openai/request.hpp"
#include "service/text.hpp"

namespace serveloop::server::openai {

struct Shape {
  bool chat = false;
  Delivery delivery;
  std::string id;  // "chatcmpl-..."
  std::string model;
  std::uint64_t created_s = 0;
  std::uint32_t n = 1;                       // choices of a prompt; choice / n is its prompt
  std::vector<std::uint32_t> prompt_tokens;  // a prompt
  std::vector<std::vector<Token>> prompts;   // the tokens; empty unless they are to be told
  std::vector<Token> stop_ids;               // the client's own
  const service::Text* text = nullptr;       // null: no vocabulary

  std::uint32_t choices() const { return n * static_cast<std::uint32_t>(prompt_tokens.size()); }
};

}  // namespace serveloop::server::openai
