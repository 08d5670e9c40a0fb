// Invariant: a container that is open stands at the end of the one around it, which does not grow meanwhile; so the
// pointers of `open_` hold.
#include "server/json.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "text/utf8.hpp"

namespace serveloop::server {

std::optional<double> Json::as_number() const {
  if (const auto* integer = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*integer);
  if (const auto* large = std::get_if<std::uint64_t>(&data_)) return static_cast<double>(*large);
  if (const auto* real = std::get_if<double>(&data_)) return *real;
  return std::nullopt;
}

std::optional<std::int64_t> Json::as_integer() const {
  if (const auto* integer = std::get_if<std::int64_t>(&data_)) return *integer;
  constexpr double kExact = 9007199254740992.0;  // 2^53
  const auto* real = std::get_if<double>(&data_);
  if (real == nullptr || std::abs(*real) > kExact || *real != std::trunc(*real)) return std::nullopt;
  return static_cast<std::int64_t>(*real);
}

const Json* Json::find(std::string_view key) const {
  const Object* object = as_object();
  if (object == nullptr) return nullptr;
  for (auto member = object->rbegin(); member != object->rend(); ++member)
    if (member->key == key) return &member->value;
  return nullptr;
}

std::string Json::describe() const {
  struct Describe {
    std::string operator()(Null) const { return "null"; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(std::uint64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return fmt::format("{}", value); }
    std::string operator()(const std::string&) const { return "a string"; }
    std::string operator()(const Array&) const { return "an array"; }
    std::string operator()(const Object&) const { return "an object"; }
  };
  return std::visit(Describe{}, data_);
}

// What the library's event parser (which does not recurse) calls; false ends the reading.
class JsonBuilder {
 public:
  explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() { return add(Json()) != nullptr; }
  bool boolean(bool value) { return add(Json(value)) != nullptr; }
  bool number_integer(std::int64_t value) { return add(Json(value)) != nullptr; }
  bool number_unsigned(std::uint64_t value) {
    return (value <= INT64_MAX ? add(Json(static_cast<std::int64_t>(value))) : add(Json(value))) != nullptr;
  }
  bool number_float(double value, const std::string&) { return add(Json(value)) != nullptr; }
  bool string(std::string& value) { return add(Json(std::move(value))) != nullptr; }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not of JSON
  bool start_object(std::size_t) { return open(Json(Json::Object())); }
  bool start_array(std::size_t) { return open(Json(Json::Array())); }
  bool key(std::string& key) {
    key_ = std::move(key);
    return true;
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& error) {
    wrong_at = at;
    return refuse(fmt::format("what is none at byte {}: {}", at, reason_of(error.what())));
  }

  Json root;
  std::string found;         // what was wrong
  std::size_t wrong_at = 0;  // and where, from 1; 0: it is JSON, but too much

 private:
  // "[json.exception...] parse error at line 1, column 8: syntax error while ...": what follows the place, and not
  // much of what the client sent.
  static std::string reason_of(std::string_view message) {
    constexpr std::size_t kMost = 200;
    const std::size_t place = message.find("column ");
    const std::size_t colon = place == message.npos ? message.npos : message.find(": ", place);
    if (colon != message.npos) message.remove_prefix(colon + 2);
    if (message.size() <= kMost) return std::string(message);
    const std::string_view front = message.substr(0, kMost);
    return std::string(front.substr(0, text::valid_prefix(front))) + "...";
  }
  bool refuse(std::string what) {
    if (found.empty()) found = std::move(what);
    return false;
  }
  Json* add(Json value) {
    if (++values_ > limits_.values) {
      refuse(fmt::format("more than {} values", limits_.values));
      return nullptr;
    }
    if (open_.empty()) return &(root = std::move(value));
    auto& around = open_.back()->data_;
    if (auto* array = std::get_if<Json::Array>(&around)) return &array->emplace_back(std::move(value));
    return &std::get<Json::Object>(around)
                .emplace_back(Json::Member{std::move(key_), std::move(value)})
                .value;
  }
  bool open(Json container) {
    if (open_.size() >= limits_.depth)
      return refuse(fmt::format("more than {} levels of nesting", limits_.depth));
    Json* added = add(std::move(container));
    if (added == nullptr) return false;
    open_.push_back(added);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  JsonLimits limits_;
  std::vector<Json*> open_;
  std::string key_;
  std::size_t values_ = 0;
};

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    return fail("", fmt::format("JSON of at most {} bytes", limits.bytes), std::to_string(text.size()));
  JsonBuilder builder(limits);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);
  if (const std::size_t valid = text::valid_prefix(text); valid < text.size() && valid < builder.wrong_at)
    return fail("", "JSON in UTF-8", fmt::format("what is none at byte {}", valid + 1));
  return fail("", "JSON", builder.found.empty() ? "what is none" : builder.found);
}

}  // namespace serveloop::server
