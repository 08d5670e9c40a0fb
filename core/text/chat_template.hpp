// A model's own chat template: messages and tools -> the prompt's text. The template comes out of a model file and is
// not trusted: it can compute, but reach nothing, and its work, memory, output and depth are bounded
// (text/jinja/budget.hpp). Renders as Hugging Face's `apply_chat_template` does.
// Threads: a ChatTemplate never changes; any thread that has 512 KiB of stack left may render with it, several at one
// time.
// Source: the public documentation of Jinja and of Hugging Face chat templates.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "text/jinja/value.hpp"

namespace serveloop::text {

namespace jinja {
struct Template;
}

using NamedValues = std::vector<std::pair<std::string, jinja::Value>>;

// What one rendering is of. Lists and dicts may stand inside one another up to jinja::kMaxValueDepth.
struct Conversation {
  jinja::Value messages;  // [{"role": ..., "content": text or a list of parts, ...}, ...]
  jinja::Value tools = jinja::Value(jinja::None{});  // [{"type": "function", "function": {...}}, ...]
  jinja::Value documents = jinja::Value(jinja::None{});
  bool add_generation_prompt = true;
  NamedValues extra;           // further variables: "enable_thinking", ...; they win over all others
  std::optional<std::tm> now;  // what strftime_now() tells, as local time; absent: asking is an error
};

class ChatTemplate {
 public:
  struct Options {
    std::string bos_token, eos_token;
    NamedValues variables;  // further special tokens: "pad_token", ...
    jinja::Limits limits;
  };

  // Fails where the template cannot be read: the error tells the line.
  static Result<ChatTemplate> create(std::string_view source, Options options);

  // Fails where the template refuses the conversation (the error is then what it says, raise_exception), where it uses
  // what it does not have, and where it exceeds a limit.
  Result<std::string> render(const Conversation& conversation) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Template> parsed, Options options);

  std::shared_ptr<const jinja::Template> parsed_;
  std::shared_ptr<const Options> options_;
};

}  // namespace serveloop::text
