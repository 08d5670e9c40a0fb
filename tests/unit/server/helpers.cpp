#include "helpers.hpp"

#include <charconv>
#include <stdexcept>

#include "../text/vocabularies.hpp"

namespace serveloop::server::test {

Json json_of(std::string_view text) {
  Result<Json> json = parse_json(text);
  if (!json) throw std::runtime_error(json.error().message() + " in " + std::string(text));
  return std::move(*json);
}

const Json& at(const Json& json, std::string_view path) {
  const std::string_view key = path.substr(0, path.find('.'));
  const Json* next = json.find(key);
  if (const Json::Array* array = json.as_array()) {
    std::size_t index = 0;
    std::from_chars(key.data(), key.data() + key.size(), index);
    next = index < array->size() ? &(*array)[index] : nullptr;
  }
  if (next == nullptr) throw std::runtime_error("no " + std::string(key));
  return key.size() == path.size() ? *next : at(*next, path.substr(key.size() + 1));
}

std::string text_at(const Json& json, std::string_view path) {
  const Json& found = at(json, path);
  if (found.as_string() == nullptr) throw std::runtime_error(std::string(path) + " is " + found.describe());
  return *found.as_string();
}

double number_at(const Json& json, std::string_view path) { return at(json, path).as_number().value(); }

std::vector<Json> events_of(std::string_view stream) {
  std::vector<Json> events;
  constexpr std::string_view kOpen = "data: ", kClose = "\n\n";
  while (!stream.empty()) {
    const std::size_t end = stream.find(kClose);
    if (!stream.starts_with(kOpen) || end == stream.npos)
      throw std::runtime_error("no event: " + std::string(stream));
    const std::string_view data = stream.substr(kOpen.size(), end - kOpen.size());
    stream.remove_prefix(end + kClose.size());
    if (data == "[DONE]" && stream.empty()) return events;
    events.push_back(json_of(data));
  }
  throw std::runtime_error("the stream has no [DONE]");
}

const service::Text& byte_text() {
  static const service::Text text = [] {
    service::Text made;
    text::Vocabulary vocabulary = text::test::small({});
    const text::Token end = text::test::add(vocabulary, "<|im_end|>", text::TokenType::control);
    vocabulary.eos = end;
    made.tokenizer = text::test::make(vocabulary);
    made.end_ids = {end};
    made.chat_template = text::ChatTemplate::create(
                             "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
                             "{% if tools %}{{ tools|tojson }}{% endif %}{{ mood }}"
                             "{% if add_generation_prompt %}<|assistant|>{% endif %}",
                             {})
                             .value();
    return made;
  }();
  return text;
}

}  // namespace serveloop::server::test
