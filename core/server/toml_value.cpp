#include "server/toml_value.hpp"

#include <cmath>
#include <utility>

#include "server/json_text.hpp"

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

namespace {

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const std::size_t from = out.size();
  append_number(out, value);
  if (out.find_first_of(".e", from) == std::string::npos) out += ".0";  // so that it stays no integer
}

void append(std::string& out, const toml::Value& value) {
  const char* between = "";
  switch (value.type()) {
    case toml::Type::boolean: out += *value.as_bool() ? "true" : "false"; break;
    case toml::Type::integer: append_number(out, *value.as_integer()); break;
    case toml::Type::real: append_real(out, *value.as_double()); break;
    case toml::Type::string: append_json(out, *value.as_string()); break;
    case toml::Type::array:
      out += '[';
      for (const toml::Value& item : value.items()) {
        out += std::exchange(between, ",");
        append(out, item);
      }
      out += ']';
      break;
    case toml::Type::table:
      out += '{';
      for (const toml::Entry& entry : value.entries()) {
        out += std::exchange(between, ",");
        append_json(out, entry.key);
        out += ':';
        append(out, entry.value);
      }
      out += '}';
      break;
  }
}

}  // namespace

std::string to_json(const toml::Value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace serveloop::server
