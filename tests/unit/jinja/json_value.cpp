#include "json_value.hpp"

#include <nlohmann/json.hpp>

using serveloop::text::jinja::None;
using serveloop::text::jinja::Value;

namespace {

Value converted(const nlohmann::ordered_json& json) {
  if (json.is_null()) return Value(None{});
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_integer()) return Value(json.get<std::int64_t>());
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_string()) return Value::text(json.get<std::string>());
  if (json.is_array()) {
    std::vector<Value> items;
    for (const auto& item : json) items.push_back(converted(item));
    return Value::list(std::move(items));
  }
  std::vector<std::pair<std::string, Value>> entries;
  for (const auto& [key, value] : json.items()) entries.emplace_back(key, converted(value));
  return Value::dict(std::move(entries));
}

}  // namespace

Value value_of_json(std::string_view json) { return converted(nlohmann::ordered_json::parse(json)); }
