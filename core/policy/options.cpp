// Rows for a plugin's create. Invariant: one row a declared option, in the manifest's order; a list has one
// row an item, so an empty list has none.
#include "policy/options.hpp"

#include "base/suggest.hpp"

namespace serveloop::policy {

sl_text CheckedOptions::keep(std::string_view text) {
  const std::string& kept = texts_.emplace_back(text);
  return {kept.data(), kept.size()};
}

void CheckedOptions::add(const OptionSpec& spec, const toml::Value& value) {
  sl_option row{};
  row.name = keep(spec.name);
  row.type = static_cast<std::uint32_t>(spec.type);
  switch (spec.type) {
    case OptionType::boolean:
      row.integer = *value.as_bool() ? 1 : 0;
      row.number = static_cast<double>(row.integer);
      break;
    case OptionType::integer:
      row.integer = *value.as_integer();
      row.number = static_cast<double>(row.integer);
      break;
    case OptionType::number: row.number = *value.as_double(); break;
    case OptionType::text: row.text = keep(*value.as_string()); break;
    case OptionType::list:
      for (const toml::Value& item : value.items()) {
        row.text = keep(*item.as_string());
        rows_.push_back(row);
      }
      break;
  }
  if (spec.type != OptionType::list) rows_.push_back(row);
  effective_[spec.name] = value;
}

Result<CheckedOptions> check_options(const Manifest& manifest, const toml::Value& options) {
  const std::string owner = std::string(name_of(manifest.kind)) + " '" + manifest.id + "'";
  if (!options.is_table()) return fail(options.named("options of " + owner), "a table", options.describe());
  std::vector<std::string> names;
  for (const OptionSpec& spec : manifest.options) names.push_back(spec.name);
  for (const toml::Entry& entry : options.entries()) {
    if (manifest.option(entry.key) != nullptr) continue;
    return fail(entry.value.named("options." + entry.key), "an option of " + owner,
                "unknown option '" + entry.key + "'",
                names.empty() ? "it has none" : did_you_mean(entry.key, names));
  }
  CheckedOptions checked;
  for (const OptionSpec& spec : manifest.options) {
    const toml::Value* value = options.find(spec.name);
    if (value != nullptr) {
      const Status status = check_option(spec, *value, "option '" + spec.name + "' of " + owner);
      if (!status) return tl::unexpected(status.error());
    } else if (spec.fallback) {
      value = &*spec.fallback;
    } else {
      return fail(options.named("option '" + spec.name + "' of " + owner), "a value, since it has no default",
                  "nothing");
    }
    checked.add(spec, *value);
  }
  return checked;
}

}  // namespace serveloop::policy
