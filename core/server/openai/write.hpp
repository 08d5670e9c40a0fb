// The parts of an answer's JSON that whole answers and streams share. Each appends. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/openai/shape.hpp"
#include "server/outbox.hpp"

namespace serveloop::server::openai {

// OpenAI's finish_reason: "stop", "length"; vLLM's "abort" where it was cancelled, ran past its deadline or was refused,
// "error" where it failed.
const char* finish_reason(service::Finish finish);
// In JSON: the stop string, the client's own stop token's id, why it was aborted, or null.
void append_stop_reason(std::string& out, const Ended& end, const Shape& shape);

struct Usage {
  std::uint64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};
void append_usage(std::string& out, const Usage& usage);

// `,"timings":{...}`: where the time of one choice went. Nothing where there is none to tell.
void append_timings(std::string& out, const std::optional<engine::Finished>& finished);

// `,"prompt_token_ids":[...]` where they are asked for and stand: in each choice of a completion, beside the choices of a
// chat. Nothing elsewhere.
enum class Place : std::uint8_t { in_choice, beside_choices };
void append_prompt_ids(std::string& out, const Shape& shape, std::uint32_t choice, Place place);

// One entry of a chat's logprobs.content: the token, its log-probability, the alternatives.
void append_chat_logprob(std::string& out, const Shape& shape, std::span<const TokenLogprob> logprobs);
// {"token": logprob, ...}: one entry of a completion's logprobs.top_logprobs.
void append_top_logprobs(std::string& out, const Shape& shape, std::span<const TokenLogprob> logprobs);
// A token's text in JSON; "token_id:7" where there is no vocabulary.
void append_token(std::string& out, const Shape& shape, Token token);
void append_logprob(std::string& out, float logprob);
void append_ids(std::string& out, std::span<const Token> tokens);

std::uint64_t characters(std::string_view utf8);

}  // namespace serveloop::server::openai
