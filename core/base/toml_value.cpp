// The value tree: typed access, dotted paths, and the writer.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/toml.hpp"

namespace serveloop::toml {
namespace {

const std::string kNoSource;
const Array kNoItems;
const Table kNoEntries;

bool is_bare(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c < 0x80 && std::isalnum(c) != 0) || c == '_' || c == '-';
  });
}

std::string quoted(std::string_view text) {
  static const char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string key_text(std::string_view key) { return is_bare(key) ? std::string(key) : quoted(key); }

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char digits[64];  // the shortest that read back as this value
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-6 && size < 1e15);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(digits, digits + sizeof digits, value, format).ptr;
  std::string text(digits, end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

bool is_array_of_tables(const Value& value) {
  const Array& items = value.items();
  return !items.empty() &&
         std::all_of(items.begin(), items.end(), [](const Value& v) { return v.is_table(); });
}

void write_table(const Value& table, const std::string& path, std::string& out) {
  for (const Entry& entry : table.entries()) {
    if (entry.value.is_table() || is_array_of_tables(entry.value)) continue;
    out += key_text(entry.key) + " = " + to_inline(entry.value) + "\n";
  }
  for (const Entry& entry : table.entries()) {
    const std::string inner = (path.empty() ? "" : path + ".") + key_text(entry.key);
    if (entry.value.is_table()) {
      out += (out.empty() ? "[" : "\n[") + inner + "]\n";
      write_table(entry.value, inner, out);
    } else if (is_array_of_tables(entry.value)) {
      for (const Value& item : entry.value.items()) {
        out += (out.empty() ? "[[" : "\n[[") + inner + "]]\n";
        write_table(item, inner, out);
      }
    }
  }
}

// "a.'b.c'.d" -> a, b.c, d; nothing where a segment is empty or a quote stays open.
std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> out(1);
  char quote = 0;
  bool was_quoted = false;
  for (const char c : path) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        out.back() += c;
      }
    } else if ((c == '"' || c == '\'') && out.back().empty()) {
      quote = c;
      was_quoted = true;
    } else if (c == '.') {
      if (out.back().empty() && !was_quoted) return {};
      out.emplace_back();
      was_quoted = false;
    } else {
      out.back() += c;
    }
  }
  if (quote != 0 || (out.back().empty() && !was_quoted) || out.size() > kMaxDepth) return {};
  return out;
}

std::optional<std::size_t> index_in(const Value& array, std::string_view segment) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(segment.data(), segment.data() + segment.size(), index);
  if (error != std::errc() || end != segment.data() + segment.size() || index >= array.items().size())
    return {};
  return index;
}

tl::unexpected<Error> mismatch(const Value& value, std::string_view what, std::string expected) {
  return fail(value.named(what), std::move(expected), value.describe());
}

}  // namespace

const char* name_of(Type type) {
  static constexpr const char* kNames[] = {"boolean", "integer", "number", "string", "array", "table"};
  return kNames[static_cast<std::size_t>(type)];
}

Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Value::Value(Integer integer) : data_(integer.value) {}
Value::Value() : data_(Table()) {}
Value::Value(bool value) : data_(value) {}
Value::Value(double value) : data_(value) {}
Value::Value(std::string value) : data_(std::move(value)) {}
Value::Value(std::string_view value) : data_(std::string(value)) {}
Value::Value(const char* value) : data_(std::string(value)) {}
Value::Value(Array value) : data_(std::move(value)) {}
Value::Value(Table value) : data_(std::move(value)) {}

Result<bool> Value::as_bool(std::string_view what) const {
  if (const bool* value = std::get_if<bool>(&data_)) return *value;
  return mismatch(*this, what, "true or false");
}

Result<std::int64_t> Value::as_integer(std::string_view what) const {
  if (const auto* value = std::get_if<std::int64_t>(&data_)) return *value;
  return mismatch(*this, what, "an integer");
}

Result<double> Value::as_double(std::string_view what) const {
  if (const double* value = std::get_if<double>(&data_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*value);
  return mismatch(*this, what, "a number");
}

Result<std::string> Value::as_string(std::string_view what) const {
  if (const auto* value = std::get_if<std::string>(&data_)) return *value;
  return mismatch(*this, what, "a string");
}

Result<std::vector<std::string>> Value::as_strings(std::string_view what) const {
  if (is_string())
    return fail(named(what), "an array of strings", describe(), "write [" + to_inline(*this) + "]");
  if (!is_array()) return mismatch(*this, what, "an array of strings");
  std::vector<std::string> out;
  for (const Value& item : items()) {
    Result<std::string> text = item.as_string(what);
    if (!text) return tl::unexpected(text.error());
    out.push_back(std::move(*text));
  }
  return out;
}

const Array& Value::items() const {
  const auto* array = std::get_if<Array>(&data_);
  return array != nullptr ? *array : kNoItems;
}

const Table& Value::entries() const {
  const auto* table = std::get_if<Table>(&data_);
  return table != nullptr ? *table : kNoEntries;
}

const Value* Value::find(std::string_view key) const {
  for (const Entry& entry : entries()) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

const Value* Value::at(std::string_view path) const {
  const std::vector<std::string> keys = segments(path);
  const Value* value = keys.empty() ? nullptr : this;
  for (std::size_t i = 0; i < keys.size() && value != nullptr; ++i) {
    if (value->is_array()) {
      const auto index = index_in(*value, keys[i]);
      value = index ? &value->items()[*index] : nullptr;
    } else {
      value = value->find(keys[i]);
    }
  }
  return value;
}

Value& Value::operator[](std::string_view key) {
  Table& table = std::get<Table>(data_);
  for (Entry& entry : table) {
    if (entry.key == key) return entry.value;
  }
  return table.emplace_back(Entry{std::string(key), Value()}).value;
}

void Value::push_back(Value value) { std::get<Array>(data_).push_back(std::move(value)); }

Status Value::set(std::string_view path, Value value) {
  const std::vector<std::string> keys = segments(path);
  if (keys.empty()) return fail(std::string(path), "a key such as engine.lag", "'" + std::string(path) + "'");
  Value* here = this;
  for (const std::string& key : keys) {
    if (here->is_array()) {
      const auto index = index_in(*here, key);
      if (!index) {
        return fail(std::string(path), "an index below " + std::to_string(here->items().size()),
                    "'" + key + "'");
      }
      here = &std::get<Array>(here->data_)[*index];
    } else if (here->is_table()) {
      here = &(*here)[key];
    } else {
      return fail(std::string(path), "a table above '" + key + "'", here->describe());
    }
  }
  *here = std::move(value);
  return {};
}

std::string Value::place() const {
  if (source_ == nullptr || line_ == 0) return source();
  return *source_ + ":" + std::to_string(line_) + ":" + std::to_string(column_);
}

const std::string& Value::source() const { return source_ == nullptr ? kNoSource : *source_; }

bool Value::of_command_line() const { return source().starts_with("--"); }

std::string Value::named(std::string_view what) const {
  std::string subject = place();
  if (what.empty()) return subject;
  const std::string assigned = " " + std::string(what) + "=";  // of "--set engine.lag=1"
  if (of_command_line() &&
      subject.compare(std::min(subject.find(' '), subject.size()), assigned.size(), assigned) == 0)
    return subject;
  if (!subject.empty()) subject += ": ";
  return subject + std::string(what);
}

void Value::set_place(std::shared_ptr<const std::string> source, std::uint32_t line, std::uint32_t column) {
  source_ = std::move(source);
  line_ = line;
  column_ = column;
}

void Value::set_source(const std::shared_ptr<const std::string>& source) {
  set_place(source, 0, 0);
  if (auto* array = std::get_if<Array>(&data_))
    for (Value& item : *array) item.set_source(source);
  if (auto* table = std::get_if<Table>(&data_))
    for (Entry& entry : *table) entry.value.set_source(source);
}

std::string Value::describe() const {
  constexpr std::size_t kShown = 60;
  if (is_table()) return "a table";
  if (is_array()) return "an array";
  std::string text = is_string() ? "'" + std::get<std::string>(data_) + "'" : to_inline(*this);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return std::string(name_of(type())) + " " + text;
}

bool operator==(const Value& a, const Value& b) {
  if (a.type() != b.type()) return false;
  if (!a.is_table()) return a.data_ == b.data_;
  return a.entries().size() == b.entries().size() &&
         std::all_of(a.entries().begin(), a.entries().end(), [&](const Entry& entry) {
           const Value* other = b.find(entry.key);
           return other != nullptr && entry.value == *other;
         });
}

std::string to_inline(const Value& value) {
  std::string out;
  switch (value.type()) {
    case Type::boolean: return *value.as_bool() ? "true" : "false";
    case Type::integer: return std::to_string(*value.as_integer());
    case Type::real: return real_text(*value.as_double());
    case Type::string: return quoted(*value.as_string());
    case Type::array:
      for (const Value& item : value.items()) out += (out.empty() ? "" : ", ") + to_inline(item);
      return "[" + out + "]";
    case Type::table:
      for (const Entry& entry : value.entries()) {
        out += (out.empty() ? "" : ", ") + key_text(entry.key) + " = " + to_inline(entry.value);
      }
      return out.empty() ? "{}" : "{ " + out + " }";
  }
  return out;
}

std::string to_toml(const Value& document) {
  std::string out;
  write_table(document, {}, out);
  return out;
}

}  // namespace serveloop::toml
