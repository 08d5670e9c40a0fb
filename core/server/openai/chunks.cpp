// Written by hand: this runs for every token of every stream.
#include "server/openai/chunks.hpp"

#include <fmt/format.h>

#include "server/json_text.hpp"

namespace serveloop::server::openai {

Chunks::Chunks(const Shape& shape)
    : shape_(shape), choices_(shape.choices()), open_choices_(shape.choices()), tally_(shape) {
  head_ = R"(data: {"id":)" + json_quoted(shape.id) + R"(,"object":")" +
          (shape.chat ? "chat.completion.chunk" : "text_completion") +
          fmt::format(R"(","created":{},"model":)", shape.created_s) + json_quoted(shape.model) +
          R"(,"choices":[)";
}

bool Chunks::append(std::string& out, const Told& told, Cursor& at) {
  const Told::Item& item = told.items[at.item++];
  const std::string_view text = std::string_view(told.text).substr(at.text, item.text_bytes);
  at.text += item.text_bytes;
  if (!choices_[item.choice].begun) begin(out, item.choice);
  if (item.end) {
    end(out, told.ends[at.end++], text);
    if (open_choices_ == 0) last(out);
    return open_choices_ > 0;
  }
  token(out, item, text, std::span(told.logprobs).subspan(at.logprob, item.logprobs));
  at.logprob += item.logprobs;
  return true;
}

void Chunks::open(std::string& out, std::uint32_t choice) const {
  out += head_;
  out += R"({"index":)";
  append_number(out, std::uint64_t{choice});
}

void Chunks::usage(std::string& out) const {
  if (!shape_.delivery.include_usage) return;
  out += R"(,"usage":)";
  if (shape_.delivery.continuous_usage)
    append_usage(out, tally_.usage());
  else
    out += "null";
}

void Chunks::close(std::string& out) const {
  out += "}]";
  usage(out);
  out += "}\n\n";
}

void Chunks::text_of(std::string& out, std::string_view text) const {
  out += shape_.chat ? R"(,"delta":{"content":")" : R"(,"text":")";
  append_json_inside(out, text);
  out += shape_.chat ? "\"}" : "\"";
}

// A choice's first event: a chat's role, and what is told once.
void Chunks::begin(std::string& out, std::uint32_t choice) {
  choices_[choice].begun = true;
  if (!shape_.chat && shape_.prompts.empty()) return;
  open(out, choice);
  out += shape_.chat ? R"(,"delta":{"role":"assistant","content":""})" : R"(,"text":"")";
  out += R"(,"logprobs":null,"finish_reason":null)";
  append_prompt_ids(out, shape_, choice, Place::in_choice);
  out += "}]";
  append_prompt_ids(out, shape_, choice, Place::beside_choices);
  usage(out);
  out += "}\n\n";
}

void Chunks::logprobs_of(std::string& out, const Told::Item& item, std::span<const TokenLogprob> logprobs,
                         std::uint64_t offset) const {
  out += R"(,"logprobs":)";
  if (logprobs.empty()) {
    out += "null";
  } else if (shape_.chat) {
    out += R"({"content":[)";
    append_chat_logprob(out, shape_, logprobs);
    out += "]}";
  } else {
    out += R"({"text_offset":[)";
    append_number(out, offset);
    out += R"(],"token_logprobs":[)";
    append_logprob(out, logprobs.front().logprob);
    out += R"(],"tokens":[)";
    append_token(out, shape_, item.token);
    out += R"(],"top_logprobs":[)";
    append_top_logprobs(out, shape_, logprobs);
    out += "]}";
  }
}

void Chunks::token(std::string& out, const Told::Item& item, std::string_view text,
                   std::span<const TokenLogprob> logprobs) {
  Choice& choice = choices_[item.choice];
  ++choice.tokens;
  tally_.token();
  if (text.empty() && logprobs.empty() && !shape_.delivery.token_ids) return;
  open(out, item.choice);
  text_of(out, text);
  logprobs_of(out, item, logprobs, choice.offset);
  choice.offset += logprobs.empty() ? 0 : characters(text);
  out += R"(,"finish_reason":null)";
  if (shape_.delivery.token_ids) {
    out += R"(,"token_ids":[)";
    append_number(out, std::uint64_t{item.token});
    out += ']';
  }
  close(out);
}

void Chunks::end(std::string& out, const Ended& ended, std::string_view text) {
  tally_.ended(ended, choices_[ended.choice].tokens);
  --open_choices_;
  open(out, ended.choice);
  if (shape_.chat && text.empty())
    out += R"(,"delta":{})";
  else
    text_of(out, text);
  out += R"(,"logprobs":null,"finish_reason":")";
  out += finish_reason(ended.finish);
  out += R"(","stop_reason":)";
  append_stop_reason(out, ended, shape_);
  out += "}]";
  usage(out);
  append_timings(out, ended.finished);
  out += "}\n\n";
}

void Chunks::last(std::string& out) {
  if (shape_.delivery.include_usage) {
    out += head_;
    out += R"(],"usage":)";
    append_usage(out, tally_.usage());
    append_timings(out, tally_.last());
    out += "}\n\n";
  }
  out += "data: [DONE]\n\n";
}

}  // namespace serveloop::server::openai
