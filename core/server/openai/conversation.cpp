// Messages and tools as a model's template sees them. Content is always a text: parts of it are joined by a line break,
// since most templates know texts only.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/jinja_value.hpp"
#include "server/openai/parameters.hpp"

namespace serveloop::server::openai {
namespace {

using text::jinja::Value;

constexpr std::size_t kMostMessages = 16384;
constexpr std::size_t kMostTools = 1024;
constexpr std::size_t kMostRole = 64;
// A template's variables that have a parameter of their own, with its checks, or are the model's.
const std::vector<std::string> kReserved{"messages",  "tools",    "documents", "add_generation_prompt",
                                         "bos_token", "eos_token"};

ApiResult<std::string> text_of(const Json& content, const std::string& place) {
  if (const std::string* text = content.as_string()) return *text;
  const Json::Array* parts = content.as_array();
  if (parts == nullptr)
    return refuse(
        place, fmt::format("{}: expected a string or a list of parts, found {}", place, content.describe()));
  std::string all;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const Json& part = (*parts)[i];
    const std::string here = fmt::format("{}[{}]", place, i);
    const Json* type = part.find("type");
    const Json* text = part.find("text");
    if (type == nullptr || type->as_string() == nullptr)
      return refuse(here + ".type", here + ": expected an object with a type");
    if (*type->as_string() != "text")
      return refuse(here + ".type", here + ".type: this model takes parts of type \"text\" only");
    if (text == nullptr || text->as_string() == nullptr)
      return refuse(here + ".text", here + ".text: expected a string");
    all += (i == 0 ? "" : "\n") + *text->as_string();
  }
  return all;
}

// Tool calls carry their arguments as JSON in a string; templates expect the object.
Value tool_calls(const Json& calls) {
  const Json::Array* list = calls.as_array();
  if (list == nullptr) return to_jinja(calls);
  std::vector<Value> out;
  for (const Json& call : *list) {
    const Json::Object* members = call.as_object();
    if (members == nullptr) {
      out.push_back(to_jinja(call));
      continue;
    }
    std::vector<std::pair<std::string, Value>> entries;
    for (const auto& [key, value] : *members) {
      const Json* arguments = key == "function" ? value.find("arguments") : nullptr;
      const std::string* text = arguments == nullptr ? nullptr : arguments->as_string();
      JsonLimits limits;
      limits.depth = kMostArgumentDepth;
      const Result<Json> parsed = text == nullptr ? Result<Json>(Json()) : parse_json(*text, limits);
      if (text == nullptr || !parsed || parsed->as_object() == nullptr) {
        entries.emplace_back(key, to_jinja(value));
        continue;
      }
      std::vector<std::pair<std::string, Value>> function;
      for (const auto& [name, part] : *value.as_object())
        function.emplace_back(name, to_jinja(name == "arguments" ? *parsed : part));
      entries.emplace_back(key, Value::dict(std::move(function)));
    }
    out.push_back(Value::dict(std::move(entries)));
  }
  return Value::list(std::move(out));
}

ApiResult<Value> message_of(const Json& message, const std::string& place) {
  const Json::Object* members = message.as_object();
  if (members == nullptr)
    return refuse(place, fmt::format("{}: expected an object, found {}", place, message.describe()));
  const Json* role = message.find("role");
  if (role == nullptr || role->as_string() == nullptr || role->as_string()->empty() ||
      role->as_string()->size() > kMostRole)
    return refuse(place + ".role", fmt::format("{}.role: expected a string such as \"user\"", place));
  const Json* content = message.find("content");
  const bool has_content = content != nullptr && !content->is_null();
  if (!has_content && *role->as_string() != "assistant")
    return refuse(place + ".content", fmt::format("{}.content: expected a string or a list of parts", place));
  std::vector<std::pair<std::string, Value>> entries;
  bool content_told = false;
  for (const auto& [key, value] : *members) {
    if (key == "content") {
      if (std::exchange(content_told, true)) continue;
      ApiResult<std::string> text = has_content ? text_of(*content, place + ".content") : std::string();
      if (!text) return tl::unexpected(text.error());
      entries.emplace_back(key, Value::text(std::move(*text)));
    } else {
      entries.emplace_back(key, key == "tool_calls" ? tool_calls(value) : to_jinja(value));
    }
  }
  if (!content_told) entries.emplace_back("content", Value::text(""));
  return Value::dict(std::move(entries));
}

void read_messages(Fields& in, text::Conversation& conversation) {
  const Json::Array* messages = in.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMostMessages)
    return in.refuse("messages", fmt::format("messages: expected 1 to {} messages", kMostMessages));
  std::vector<Value> values;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    ApiResult<Value> value = message_of((*messages)[i], fmt::format("messages[{}]", i));
    if (!value) return in.refuse(value.error().parameter, value.error().message);
    values.push_back(std::move(*value));
  }
  conversation.messages = Value::list(std::move(values));
}

void read_tools(Fields& in, text::Conversation& conversation) {
  if (const Json* choice = in.find("tool_choice")) {
    const std::string* name = choice->as_string();
    if (name == nullptr || (*name != "auto" && *name != "none"))
      return in.refuse("tool_choice", "tool_choice: only \"auto\" and \"none\" are supported",
                       "unsupported_parameter");
    if (*name == "none") return;
  }
  const Json::Array* tools = in.array("tools");
  if (tools == nullptr || tools->empty()) return;
  if (tools->size() > kMostTools)
    return in.refuse("tools", fmt::format("tools: expected at most {}, found {}", kMostTools, tools->size()));
  for (const Json& tool : *tools)
    if (tool.as_object() == nullptr) return in.wrong("tools", "objects", tool);
  conversation.tools = to_jinja(*in.find("tools"));
}

// What else a template knows, by its own names.
void read_extra(Fields& in, text::Conversation& conversation) {
  const Json::Object* extra = in.object("chat_template_kwargs");
  if (extra == nullptr) return;
  for (const auto& [name, value] : *extra) {
    if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end())
      return in.refuse("chat_template_kwargs." + name,
                       fmt::format("chat_template_kwargs.{}: this name is not free", name));
    conversation.extra.emplace_back(name, to_jinja(value));
  }
}

}  // namespace

void read_conversation(Fields& in, text::Conversation& conversation) {
  read_messages(in, conversation);
  read_tools(in, conversation);
  if (in.array("documents") != nullptr) conversation.documents = to_jinja(*in.find("documents"));
  in.flag("add_generation_prompt", conversation.add_generation_prompt);
  read_extra(in, conversation);
  const std::time_t now = std::time(nullptr);
  conversation.now.emplace();
  ::localtime_r(&now, &*conversation.now);
}

}  // namespace serveloop::server::openai
