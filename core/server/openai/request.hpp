// Bodies of /v1/completions, /v1/chat/completions and /tokenize, read and checked: what a client asks for, before any
// text became tokens. Pure functions of the body and the model's facts. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/errors.hpp"
#include "server/json.hpp"
#include "service/service.hpp"
#include "text/chat_template.hpp"

namespace serveloop::server::openai {

using Token = std::uint32_t;

inline constexpr std::uint32_t kMostChoices = 128;  // of one prompt (n)
inline constexpr std::size_t kMostPrompts = 512;    // of one body
inline constexpr std::size_t kMostParts = 1024;     // choices of all its prompts

struct Model {
  std::string name;
  std::uint32_t vocabulary = 0;
  bool has_text = false;  // false: prompts are token ids
};

// How an answer is told.
struct Delivery {
  bool stream = false;
  bool include_usage = false, continuous_usage = false;  // with stream
  bool token_ids = false;
  std::optional<std::uint32_t> logprobs;  // so many alternatives a token
};

// What both kinds of completion state. ask.spec.prompt stays empty.
struct Common {
  service::Ask ask;
  Delivery delivery;
  bool add_special_tokens = true;  // what the vocabulary puts around a text
};

using Prompt = std::variant<std::string, std::vector<Token>>;

struct CompletionRequest {
  Common common;
  std::vector<Prompt> prompts;
};

struct ChatRequest {
  Common common;
  text::Conversation conversation;
};

struct TokenizeRequest {
  std::variant<std::string, text::Conversation> what;
  bool add_special_tokens = true;
  bool strings = false;  // return_token_strs
};

ApiResult<CompletionRequest> read_completion(const Json& body, const Model& model);
ApiResult<ChatRequest> read_chat(const Json& body, const Model& model);
ApiResult<TokenizeRequest> read_tokenize(const Json& body, const Model& model);
ApiResult<std::vector<Token>> read_detokenize(const Json& body, const Model& model);

}  // namespace serveloop::server::openai
