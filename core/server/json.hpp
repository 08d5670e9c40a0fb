// JSON of clients as plain values. The only door to the JSON library (json.cpp alone includes it). Bytes, nesting and
// the number of values are bounded while reading, before anything beyond them is built; text that is not UTF-8 is an
// error. Thread safety: plain values; parsing is pure.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace serveloop::server {

struct JsonLimits {
  std::size_t bytes = std::size_t{32} << 20;
  std::size_t depth = 64;                     // of arrays and objects in each other
  std::size_t values = std::size_t{4} << 20;  // of any kind, keys not counted
};

class Json {
 public:
  struct Member;  // {key, value} of an object
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;
  using Null = std::monostate;

  Json() = default;
  template <class T>
  requires(std::same_as<T, bool> || std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t> ||
           std::same_as<T, double> || std::same_as<T, std::string> || std::same_as<T, Array> ||
           std::same_as<T, Object>) explicit Json(T value)
      : data_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<Null>(data_); }
  bool is_real() const {
    return std::holds_alternative<double>(data_);
  }  // written with a point or an exponent
  // Each is null or nothing where the value is of another type.
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const std::string* as_string() const { return std::get_if<std::string>(&data_); }
  const Array* as_array() const { return std::get_if<Array>(&data_); }
  const Object* as_object() const { return std::get_if<Object>(&data_); }
  std::optional<double> as_number() const;
  // A whole number, also where it is written as 5.0; nothing where int64 does not hold it exactly.
  std::optional<std::int64_t> as_integer() const;
  // One above int64 alone.
  const std::uint64_t* as_large() const { return std::get_if<std::uint64_t>(&data_); }

  // An object's value of that key, the last of equals; null where it is absent, or this is no object.
  const Json* find(std::string_view key) const;
  // Short, for errors: "a string", "-5", "true", "an array".
  std::string describe() const;

 private:
  friend class JsonBuilder;
  std::variant<Null, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data_;
};

struct Json::Member {
  std::string key;
  Json value;
};

// One line in the error: what is wrong, and at which byte.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace serveloop::server
