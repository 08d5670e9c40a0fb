// What tests/golden/jinja/make_golden.py wrote, and rendering as it did.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "json_value.hpp"
#include "text/chat_template.hpp"
#include "text/jinja/value.hpp"

namespace golden {

using serveloop::Result;
using serveloop::text::ChatTemplate;
using serveloop::text::Conversation;
using serveloop::text::jinja::Kind;
using serveloop::text::jinja::Value;

inline std::string folder() {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  return std::string(root == nullptr ? "." : root) + "/tests/golden/jinja/";
}

inline std::vector<Value> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<Value> records;
  for (std::string line; std::getline(file, line);) records.push_back(value_of_json(line));
  return records;
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string text_of(const Value& record, std::string_view key) {
  const Value* found = record.as_dict().find(key);
  return found == nullptr ? std::string() : std::string(found->as_bytes());
}

inline std::tm now() {  // Friday, 7 March 2025, 14:05:09
  std::tm tm{};
  tm.tm_year = 125;
  tm.tm_mon = 2;
  tm.tm_mday = 7;
  tm.tm_wday = 5;
  tm.tm_yday = 65;
  tm.tm_hour = 14;
  tm.tm_min = 5;
  tm.tm_sec = 9;
  return tm;
}

inline Result<std::string> rendered(const std::string& source, const Conversation& conversation) {
  ChatTemplate::Options options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  auto made = ChatTemplate::create(source, std::move(options));
  if (!made) return tl::unexpected(made.error());
  return made->render(conversation);
}

// Empty where the rendering is what the record says; else how it differs.
inline std::string difference(const Value& record, const Result<std::string>& rendering) {
  const bool fails = record.as_dict().find("error") != nullptr;
  if (fails && rendering) return "expected an error, found <<" + *rendering + ">>";
  if (fails) {
    const std::string said = text_of(record, "error");
    return said.empty() || said == rendering.error().what
               ? ""
               : "expected <<" + said + ">>, found " + rendering.error().message();
  }
  if (!rendering)
    return "expected <<" + text_of(record, "text") + ">>, found the error " + rendering.error().message();
  if (*rendering == text_of(record, "text")) return "";
  return "expected <<" + text_of(record, "text") + ">>,\nfound <<" + *rendering + ">>";
}

}  // namespace golden
