// What an option may be: its schema in the manifest, and a value against it.
#include "policy/option_spec.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/suggest.hpp"
#include "policy/table_reader.hpp"

namespace serveloop::policy {
namespace {

constexpr std::array<const char*, 5> kTypes = {"boolean", "integer", "number", "text", "list"};
constexpr std::array<const char*, 5> kWanted = {"true or false", "an integer", "a number", "a string",
                                                "an array of strings"};

bool is_numeric(OptionType type) { return type == OptionType::integer || type == OptionType::number; }
bool is_text(OptionType type) { return type == OptionType::text || type == OptionType::list; }

std::string number_text(double value) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), "%.15g", value);
  return out.data();
}

// "an integer from 1 to 8 tokens"
std::string wanted(const OptionSpec& spec) {
  std::string text = kWanted[static_cast<std::size_t>(spec.type) - 1];
  if (spec.min && spec.max)
    text += " from " + number_text(*spec.min) + " to " + number_text(*spec.max);
  else if (spec.min)
    text += " of at least " + number_text(*spec.min);
  else if (spec.max)
    text += " of at most " + number_text(*spec.max);
  if (!spec.unit.empty()) text += " (" + spec.unit + ")";
  if (spec.choices.empty()) return text;
  text += spec.type == OptionType::list ? " out of " : ": ";
  for (std::size_t i = 0; i < spec.choices.size(); ++i) text += (i == 0 ? "" : ", ") + spec.choices[i];
  return text;
}

bool has_type(OptionType type, const toml::Value& value) {
  const auto is_string = [](const toml::Value& item) { return item.is_string(); };
  switch (type) {
    case OptionType::boolean: return value.type() == toml::Type::boolean;
    case OptionType::integer: return value.type() == toml::Type::integer;
    case OptionType::number: return value.type() == toml::Type::integer || value.type() == toml::Type::real;
    case OptionType::text: return value.is_string();
    case OptionType::list:
      return value.is_array() && std::all_of(value.items().begin(), value.items().end(), is_string);
  }
  return false;
}

// `type` says whether bounds and choices make sense at all.
Status check_shape(const OptionSpec& spec, const TableReader& table) {
  for (const char* key : {"min", "max"}) {
    if ((key[1] == 'i' ? spec.min : spec.max) && !is_numeric(spec.type)) {
      return fail(table.named(key), "bounds of an integer or a number only",
                  std::string("type ") + name_of(spec.type));
    }
  }
  if (spec.min && spec.max && *spec.min > *spec.max) {
    return fail(table.named("max"), "at least min, " + number_text(*spec.min), number_text(*spec.max));
  }
  if (!spec.choices.empty() && !is_text(spec.type)) {
    return fail(table.named("choices"), "choices of a text or a list only",
                std::string("type ") + name_of(spec.type));
  }
  return {};
}

Status read_bound(const toml::Value& table, const TableReader& reader, const char* key,
                  std::optional<double>* out) {
  const toml::Value* value = table.find(key);
  if (value == nullptr) return {};
  const Result<double> number = value->as_double(key);
  if (!number || !std::isfinite(*number))
    return fail(reader.named(key), "a finite number", value->describe());
  *out = *number;
  return {};
}

}  // namespace

const char* name_of(OptionType type) { return kTypes[static_cast<std::size_t>(type) - 1]; }

Status check_option(const OptionSpec& spec, const toml::Value& value, std::string_view what) {
  const auto refuse = [&](std::string found, std::string hint = {}) -> Status {
    return fail(value.named(what), wanted(spec), std::move(found), std::move(hint));
  };
  if (!has_type(spec.type, value)) return refuse(value.describe());
  if (is_numeric(spec.type)) {
    const double number = *value.as_double(what);
    if (!std::isfinite(number) || (spec.min && number < *spec.min) || (spec.max && number > *spec.max)) {
      return refuse(value.describe());
    }
  }
  if (spec.choices.empty()) return {};
  const std::vector<std::string> texts = spec.type == OptionType::list
                                             ? *value.as_strings(what)
                                             : std::vector<std::string>{*value.as_string(what)};
  for (const std::string& text : texts) {
    if (std::find(spec.choices.begin(), spec.choices.end(), text) != spec.choices.end()) continue;
    const std::string near = nearest(text, spec.choices);
    return refuse("'" + text + "'", near.empty() ? "" : "did you mean '" + near + "'?");
  }
  return {};
}

Result<OptionSpec> read_option_spec(const std::string& name, const toml::Value& table) {
  OptionSpec spec;
  spec.name = name;
  const std::string path = "options." + name;
  TableReader reader(table, path);
  std::string type;
  Status status = reader.known({"type", "default", "min", "max", "choices", "unit", "help"});
  if (!status) return tl::unexpected(status.error());
  reader.choice("type", &type, kTypes, Need::required);
  reader.texts("choices", &spec.choices, Need::optional);
  reader.text("unit", &spec.unit, Need::optional);
  reader.text("help", &spec.help, Need::optional);
  if (!reader.status()) return tl::unexpected(reader.status().error());
  spec.type = static_cast<OptionType>(std::find(kTypes.begin(), kTypes.end(), type) - kTypes.begin() + 1);
  if (status = read_bound(table, reader, "min", &spec.min); !status) return tl::unexpected(status.error());
  if (status = read_bound(table, reader, "max", &spec.max); !status) return tl::unexpected(status.error());
  if (status = check_shape(spec, reader); !status) return tl::unexpected(status.error());
  if (const toml::Value* fallback = table.find("default")) {
    if (status = check_option(spec, *fallback, path + ".default"); !status)
      return tl::unexpected(status.error());
    spec.fallback = *fallback;
  }
  return spec;
}

}  // namespace serveloop::policy
