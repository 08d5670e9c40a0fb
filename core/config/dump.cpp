// From structs back to TOML, and the small texts of sizes and paths.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <filesystem>

#include "config/schema.hpp"
#include "config/spread.hpp"

namespace serveloop::config {
namespace {

using toml::Value;

// A member as TOML; nothing where an optional is unset.
struct Writer {
  const Key& key;

  std::optional<Value> operator()(const bool* value) const { return Value(*value); }
  template <std::integral Int>
  std::optional<Value> operator()(const Int* value) const {
    return key.kind == Kind::bytes && *value != 0 && *value % 1024 == 0 ? Value(bytes_text(*value))
                                                                        : Value(*value);
  }
  std::optional<Value> operator()(const double* value) const { return Value(*value); }
  std::optional<Value> operator()(const std::string* value) const {
    // An unset choice or path has no text that the parser takes.
    return value->empty() && key.kind != Kind::plain ? std::nullopt : std::optional<Value>(Value(*value));
  }
  std::optional<Value> operator()(const std::vector<std::string>* value) const {
    return Value(toml::Array(value->begin(), value->end()));
  }
  std::optional<Value> operator()(const std::map<std::string, double>* value) const {
    Value table;
    for (const auto& [name, number] : *value) table[name] = Value(number);
    return table;
  }
  std::optional<Value> operator()(const Value* value) const { return *value; }
  std::optional<Value> operator()(const Window* value) const {
    return Value(toml::Array{Value(value->from_s), Value(value->to_s)});
  }
  std::optional<Value> operator()(const std::vector<std::uint64_t>* value) const {
    return Value(toml::Array(value->begin(), value->end()));
  }
  std::optional<Value> operator()(const std::vector<Window>* value) const {
    toml::Array out;
    for (const Window& window : *value) out.push_back(*(*this)(&window));
    return Value(std::move(out));
  }
  std::optional<Value> operator()(const Spread* value) const { return to_value(*value); }
  template <class T>
  std::optional<Value> operator()(const std::optional<T>* value) const {
    return *value ? (*this)(&**value) : std::nullopt;
  }
};

Value record_table(const Section& section, void* record) {
  Value table;
  for (const Key& key : section.keys) {
    if (const std::optional<Value> value = value_of(key, record)) table[key.name] = *value;
  }
  return table;
}

// The table at "a.b", made where it is missing.
Value& table_at(Value& root, const std::string& path) {
  Value* here = &root;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('.', at), path.size());
    here = &(*here)[path.substr(at, end - at)];
    at = end + 1;
  }
  return *here;
}

}  // namespace

std::optional<Value> value_of(const Key& key, void* record) {
  return std::visit([&](auto* member) { return Writer{key}(std::as_const(member)); }, key.slot(record));
}

Value dump(const Schema& schema, void* root) {
  Value document;
  for (const Section& section : schema) {
    if (section.repeat == Repeat::once) {
      const Value table = record_table(section, section.add(root, ""));
      Value& place = table_at(document, section.path);
      for (const toml::Entry& entry : table.entries()) place[entry.key] = entry.value;
      continue;
    }
    const auto records = section.records(root);
    if (records.empty()) continue;
    Value& place = table_at(document, section.path);
    if (section.repeat == Repeat::list) place = Value(toml::Array());
    for (const auto& [id, record] : records) {
      if (section.repeat == Repeat::list) {
        place.push_back(record_table(section, record));
      } else {
        place[id] = record_table(section, record);
      }
    }
  }
  return document;
}

namespace {

struct Unit {
  const char* name;
  double bytes;
};
constexpr std::array<Unit, 11> kUnits = {{{"", 1},
                                          {"B", 1},
                                          {"KiB", 1024.0},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0},
                                          {"KB", 1e3},
                                          {"kB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12}}};

}  // namespace

Result<std::uint64_t> parse_bytes(const std::string& text) {
  const auto wrong = [&] { return fail("size", kSizeForm, "'" + text + "'"); };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return wrong();
  const std::size_t unit_at =
      std::min(text.find_first_not_of(' ', static_cast<std::size_t>(end - text.data())), text.size());
  for (const Unit& unit : kUnits) {
    if (text.compare(unit_at, std::string::npos, unit.name) != 0) continue;
    const double bytes = number * unit.bytes;
    if (bytes >= kMost) return wrong();
    return static_cast<std::uint64_t>(bytes);
  }
  return wrong();
}

std::string bytes_text(std::uint64_t bytes, const char* space) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + space + kNames[unit];
}

std::string resolve(const std::string& path, const std::string& folder) {
  if (path.empty()) return path;
  std::filesystem::path whole = path;
  const char* home = std::getenv("HOME");
  if (path.starts_with("~/") && home != nullptr) {
    whole = std::filesystem::path(home) / path.substr(2);
  } else if (whole.is_relative()) {
    whole = std::filesystem::path(folder) / whole;
  }
  return whole.lexically_normal().string();
}

}  // namespace serveloop::config
