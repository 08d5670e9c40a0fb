#include "server/jinja_value.hpp"

namespace serveloop::server {

using text::jinja::None;
using text::jinja::Value;

// The two depths together stay below the template language's own.
static_assert(JsonLimits{}.depth + kMostArgumentDepth < text::jinja::kMaxValueDepth);

Value to_jinja(const Json& json) {
  if (const bool* flag = json.as_bool()) return Value(*flag);
  if (const std::string* text = json.as_string()) return Value::text(*text);
  if (const Json::Array* array = json.as_array()) {
    std::vector<Value> items;
    items.reserve(array->size());
    for (const Json& item : *array) items.push_back(to_jinja(item));
    return Value::list(std::move(items));
  }
  if (const Json::Object* object = json.as_object()) {
    std::vector<std::pair<std::string, Value>> entries;
    entries.reserve(object->size());
    for (const auto& [key, value] : *object) entries.emplace_back(key, to_jinja(value));
    return Value::dict(std::move(entries));
  }
  if (json.is_real()) return Value(*json.as_number());
  if (const std::optional<std::int64_t> integer = json.as_integer()) return Value(*integer);
  if (const std::optional<double> large = json.as_number()) return Value(*large);
  return Value(None{});
}

}  // namespace serveloop::server
