#include "server/openai/write.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "server/json_text.hpp"

namespace serveloop::server::openai {

const char* finish_reason(service::Finish finish) {
  switch (finish) {
    case service::Finish::stop: return "stop";
    case service::Finish::length: return "length";
    case service::Finish::error: return "error";
    default: return "abort";
  }
}

void append_stop_reason(std::string& out, const Ended& end, const Shape& shape) {
  const auto own = [&] {
    return end.stop_token &&
           std::find(shape.stop_ids.begin(), shape.stop_ids.end(), *end.stop_token) != shape.stop_ids.end();
  };
  switch (end.finish) {
    case service::Finish::cancelled: out += "\"cancelled\""; return;
    case service::Finish::deadline: out += "\"deadline\""; return;
    case service::Finish::rejected: out += "\"rejected\""; return;
    default: break;
  }
  if (!end.stop_string.empty())
    append_json(out, end.stop_string);
  else if (own())
    append_number(out, std::uint64_t{*end.stop_token});
  else
    out += "null";
}

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{}}}}})",
                 usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
                 usage.cached_tokens);
}

namespace {

// From `from` to `to` in ms; 0 where one of them never was.
double ms_between(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns <= from_ns ? 0 : static_cast<double>(to_ns - from_ns) / 1e6;
}

void append_ms(std::string& out, const char* name, double ms) {
  fmt::format_to(std::back_inserter(out), R"("{}":{:.3f},)", name, ms);
}

}  // namespace

void append_timings(std::string& out, const std::optional<engine::Finished>& finished) {
  if (!finished) return;
  const engine::Finished& f = *finished;
  fmt::format_to(std::back_inserter(out), R"(,"timings":{{"request":{},)", f.request);
  const bool admitted = f.admitted_ns != 0, spoke = f.first_token_ns != 0;
  append_ms(out, "queue_ms", ms_between(f.arrival_ns, admitted ? f.admitted_ns : f.end_ns));
  append_ms(out, "prefill_ms", admitted && spoke ? ms_between(f.admitted_ns, f.first_token_ns) : 0);
  append_ms(out, "decode_ms", spoke ? ms_between(f.first_token_ns, f.last_token_ns) : 0);
  append_ms(out, "first_token_ms", spoke ? ms_between(f.arrival_ns, f.first_token_ns) : 0);
  append_ms(out, "total_ms", ms_between(f.arrival_ns, f.end_ns));
  fmt::format_to(std::back_inserter(out),
                 R"("cached_tokens":{},"recomputed_tokens":{},"preemptions":{},"causes":{{)", f.hit_tokens,
                 f.recomputed_tokens, f.preemptions);
  bool first = true;
  for (std::size_t i = 0; i < observe::kCauses; ++i) {
    if (f.causes[i] == 0) continue;
    std::string name = observe::name_of(static_cast<observe::Cause>(i));
    std::replace(name.begin(), name.end(), ' ', '_');
    fmt::format_to(std::back_inserter(out), R"({}"{}":{:.3f})", first ? "" : ",", name,
                   static_cast<double>(f.causes[i]) / 1e6);
    first = false;
  }
  out += "}}";
}

namespace {

std::string token_text(const Shape& shape, Token token) {
  if (shape.text == nullptr || token >= shape.text->tokenizer->size())
    return fmt::format("token_id:{}", token);
  return std::string(shape.text->tokenizer->bytes(token));
}

void append_bytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    append_number(out, std::uint64_t{static_cast<unsigned char>(bytes[i])});
  }
  out += ']';
}

void append_entry(std::string& out, const Shape& shape, const TokenLogprob& of) {
  const std::string text = token_text(shape, of.token);
  out += R"({"token":)";
  append_json(out, text);
  out += R"(,"logprob":)";
  append_logprob(out, of.logprob);
  out += R"(,"bytes":)";
  append_bytes(out, text);
}

}  // namespace

void append_token(std::string& out, const Shape& shape, Token token) {
  append_json(out, token_text(shape, token));
}

// JSON has no infinity; what vLLM writes for a token that cannot be.
void append_logprob(std::string& out, float logprob) { append_number(out, logprob, -9999.0F); }

void append_chat_logprob(std::string& out, const Shape& shape, std::span<const TokenLogprob> logprobs) {
  append_entry(out, shape, logprobs.front());
  out += R"(,"top_logprobs":[)";
  for (std::size_t i = 1; i < logprobs.size(); ++i) {
    if (i > 1) out += ',';
    append_entry(out, shape, logprobs[i]);
    out += '}';
  }
  out += "]}";
}

// Two tokens may have one text (parts of characters): keys are told once, the likeliest's.
void append_top_logprobs(std::string& out, const Shape& shape, std::span<const TokenLogprob> logprobs) {
  std::vector<std::string> told;
  out += '{';
  const auto tell = [&](const TokenLogprob& one) {
    std::string key;
    append_token(key, shape, one.token);
    if (std::find(told.begin(), told.end(), key) != told.end()) return;
    out += told.empty() ? "" : ",";
    out += key;
    out += ':';
    append_logprob(out, one.logprob);
    told.push_back(std::move(key));
  };
  for (std::size_t i = 1; i < logprobs.size(); ++i) tell(logprobs[i]);
  tell(logprobs.front());
  out += '}';
}

void append_ids(std::string& out, std::span<const Token> tokens) {
  out += '[';
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += ',';
    append_number(out, std::uint64_t{tokens[i]});
  }
  out += ']';
}

void append_prompt_ids(std::string& out, const Shape& shape, std::uint32_t choice, Place place) {
  if (shape.prompts.empty() || (place == Place::beside_choices) != shape.chat) return;
  out += R"(,"prompt_token_ids":)";
  append_ids(out, shape.prompts[choice / shape.n]);
}

std::uint64_t characters(std::string_view utf8) {
  return static_cast<std::uint64_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace serveloop::server::openai
