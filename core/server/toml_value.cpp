#include "server/toml_value.hpp"

namespace serveloop::server {

Result<toml::Value> to_toml(const Json& json) {
  if (const bool* flag = json.as_bool()) return toml::Value(*flag);
  if (const std::string* text = json.as_string()) return toml::Value(*text);
  if (const Json::Array* array = json.as_array()) {
    toml::Array items;
    for (const Json& item : *array) {
      Result<toml::Value> value = to_toml(item);
      if (!value) return value;
      items.push_back(std::move(*value));
    }
    return toml::Value(std::move(items));
  }
  if (const Json::Object* object = json.as_object()) {
    toml::Value table;
    for (const auto& [key, item] : *object) {
      Result<toml::Value> value = to_toml(item);
      if (!value) return value;
      table[key] = std::move(*value);
    }
    return table;
  }
  if (json.is_real()) return toml::Value(*json.as_number());
  if (const std::optional<std::int64_t> integer = json.as_integer()) return toml::Value(*integer);
  return fail("an option", "a boolean, a number, a string, a list or an object", json.describe());
}

}  // namespace serveloop::server
