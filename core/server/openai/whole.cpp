#include "server/openai/whole.hpp"

#include <fmt/format.h>

#include "server/json_text.hpp"

namespace serveloop::server::openai {
namespace {

// A choice's parts, each in JSON but for what encloses it.
struct Choice {
  std::string text;
  std::uint64_t offset = 0;  // characters
  std::string ids;
  std::string content;                       // a chat's log-probabilities
  std::string offsets, values, tokens, top;  // a completion's
  std::uint32_t count = 0;
  const Ended* end = nullptr;
};

void separate(std::string& list) {
  if (!list.empty()) list += ',';
}

void add_logprobs(Choice& choice, const Shape& shape, const Told::Item& item,
                  std::span<const TokenLogprob> logprobs, std::string_view text) {
  if (logprobs.empty()) return;
  if (shape.chat) {
    separate(choice.content);
    append_chat_logprob(choice.content, shape, logprobs);
    return;
  }
  separate(choice.offsets);
  append_number(choice.offsets, choice.offset);
  choice.offset += characters(text);
  separate(choice.values);
  append_logprob(choice.values, logprobs.front().logprob);
  separate(choice.tokens);
  append_token(choice.tokens, shape, item.token);
  separate(choice.top);
  append_top_logprobs(choice.top, shape, logprobs);
}

std::vector<Choice> gather(const Shape& shape, const Told& told, Tally& tally) {
  std::vector<Choice> choices(shape.choices());
  std::size_t text_at = 0, logprob_at = 0, end_at = 0;
  for (const Told::Item& item : told.items) {
    Choice& choice = choices[item.choice];
    const std::string_view text = std::string_view(told.text).substr(text_at, item.text_bytes);
    text_at += item.text_bytes;
    append_json_inside(choice.text, text);
    if (item.end) {
      choice.end = &told.ends[end_at++];
      tally.ended(*choice.end, choice.count);
      continue;
    }
    ++choice.count;
    tally.token();
    add_logprobs(choice, shape, item, std::span(told.logprobs).subspan(logprob_at, item.logprobs), text);
    logprob_at += item.logprobs;
    if (!shape.delivery.token_ids) continue;
    separate(choice.ids);
    append_number(choice.ids, std::uint64_t{item.token});
  }
  return choices;
}

void append_choice(std::string& out, const Shape& shape, const Choice& choice, std::uint32_t index) {
  fmt::format_to(std::back_inserter(out), R"({{"index":{},)", index);
  out += shape.chat ? R"("message":{"role":"assistant","content":")" : R"("text":")";
  out += choice.text;
  out += shape.chat ? R"("},"logprobs":)" : R"(","logprobs":)";
  if (!shape.delivery.logprobs)
    out += "null";
  else if (shape.chat)
    out += R"({"content":[)" + choice.content + "]}";
  else
    out += R"({"text_offset":[)" + choice.offsets + R"(],"token_logprobs":[)" + choice.values +
           R"(],"tokens":[)" + choice.tokens + R"(],"top_logprobs":[)" + choice.top + "]}";
  out += R"(,"finish_reason":")";
  out += finish_reason(choice.end->finish);
  out += R"(","stop_reason":)";
  append_stop_reason(out, *choice.end, shape);
  if (shape.delivery.token_ids) out += R"(,"token_ids":[)" + choice.ids + "]";
  append_prompt_ids(out, shape, index, Place::in_choice);
  if (shape.choices() > 1) append_timings(out, choice.end->finished);
  out += '}';
}

}  // namespace

std::string whole_answer(const Shape& shape, const Told& told) {
  Tally tally(shape);
  const std::vector<Choice> choices = gather(shape, told, tally);
  std::string out = R"({"id":)" + json_quoted(shape.id) + R"(,"object":")" +
                    (shape.chat ? "chat.completion" : "text_completion") +
                    fmt::format(R"(","created":{},"model":)", shape.created_s) + json_quoted(shape.model) +
                    R"(,"choices":[)";
  for (std::uint32_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(out, shape, choices[i], i);
  }
  out += R"(],"usage":)";
  append_usage(out, tally.usage());
  append_prompt_ids(out, shape, 0, Place::beside_choices);
  append_timings(out, tally.last());
  out += '}';
  return out;
}

}  // namespace serveloop::server::openai
