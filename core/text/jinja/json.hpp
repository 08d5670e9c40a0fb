// json.dumps(), which is what `tojson` means in a model's chat template: nothing is escaped for HTML.
// Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // one level of it; absent: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

Outcome<std::string> to_json(Run& run, const Value& value, const JsonStyle& style);

}  // namespace serveloop::text::jinja
