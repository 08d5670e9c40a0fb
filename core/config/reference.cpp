// docs/CONFIG.md, made from the schema. Defaults are read from fresh records, so they are the parser's.
#include <type_traits>

#include "config/ab.hpp"
#include "config/calibration.hpp"
#include "config/config.hpp"
#include "config/schema.hpp"

namespace serveloop::config {
namespace {

const char* const kIntroduction =
    R"(# Every key of the configuration

<!-- Made from core/config/schema.cpp and schema_workload.cpp; a test compares. To write it anew:
     SERVELOOP_WRITE_DOCS=1 and run the test `config`. -->

A configuration is a TOML file; every key has a default, so an empty file is one, too. `--set a.b=c` on the command line
overrides any key; `c` is TOML, or else taken as a string (`--set engine.kv_memory=4GiB --set policy.scheduler=sarathi`).

- An unknown key, a wrong type and a value out of bounds are errors of one line that names the file, the line and what
  was expected. What came from an option of the command line is blamed on that option.
- `--set policy.scheduler=sarathi` takes the place of the whole table: options that the file gives to another policy go
  with it. Its own come behind it: `--set policy.scheduler.options.chunk_budget=256`.
- Keys that would do nothing are errors in `[workload]`: those of a synthetic stream beside a trace, and the reverse.
- A distribution is a table: `{ mean = 5, cv = 0.8 }` is lognormal, `{ min = 2, max = 8 }` uniform, and
  `distribution = "exponential"` or `"fixed"` with a `mean` what they say. `cv` is the standard deviation over the mean;
  what is drawn is cut to `min` and `max`, by default the key's bounds, and rounded where the key is a whole number. A bare
  number is always that.
- Sizes are bytes or strings: `"4GiB"`, `"512MiB"`, `"80GB"`.
- A relative path is taken from the folder of the TOML file; one given by `--set`, from the working directory. `~/` is
  the home folder. Where a name or a path may stand, a path is what holds a `/`: `./mine.so`, not `mine.so`.
)";

std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string type_of(const Key& key, const Slot& slot) {
  if (key.kind == Kind::choice) {
    std::string out = "`" + std::string(key.choices) + "`";
    for (std::size_t at = 0; (at = out.find('|', at)) != std::string::npos; at += 4)
      out.replace(at, 1, "`, `");
    return out;
  }
  const char* text = std::visit(
      [](auto* member) {
        using T = std::remove_pointer_t<decltype(member)>;
        const auto is = [](auto*... types) {
          return (std::is_same_v<T, std::remove_pointer_t<decltype(types)>> || ...);
        };
        if (is(static_cast<bool*>(nullptr))) return "boolean";
        if (is(static_cast<double*>(nullptr), static_cast<std::optional<double>*>(nullptr))) return "number";
        if (is(static_cast<std::string*>(nullptr), static_cast<std::optional<std::string>*>(nullptr)))
          return "string";
        if (is(static_cast<std::vector<std::string>*>(nullptr))) return "array of strings";
        if (is(static_cast<std::map<std::string, double>*>(nullptr))) return "table of numbers";
        if (is(static_cast<toml::Value*>(nullptr))) return "table";
        if (is(static_cast<std::optional<Window>*>(nullptr))) return "array of two numbers";
        if (is(static_cast<Spread*>(nullptr))) return "number or distribution";
        if (is(static_cast<std::vector<Window>*>(nullptr))) return "array of arrays of two numbers";
        if (is(static_cast<std::vector<std::uint64_t>*>(nullptr))) return "array of integers";
        return "integer";
      },
      slot);
  if (key.kind == Kind::bytes) return "size";
  if (key.kind == Kind::named) return "name or path";
  if (key.kind == Kind::path) return text[0] == 'a' ? "array of paths" : "path";
  return text;
}

std::string bounds_of(const Key& key) {
  if (key.kind != Kind::plain || (key.min == 0 && key.max == 0)) return "";
  const auto text = [](double bound) {
    return bound == static_cast<double>(static_cast<std::int64_t>(bound))
               ? std::to_string(static_cast<std::int64_t>(bound))
               : toml::to_inline(toml::Value(bound));
  };
  return key.max == kMost ? "≥ " + text(key.min) : text(key.min) + " to " + text(key.max);
}

std::string keys_table(const Section& section, void* record, const char* no_default = nullptr) {
  std::string out = "\n| key | type | default | bounds | unit | what |\n|---|---|---|---|---|---|\n";
  for (const Key& key : section.keys) {
    const std::optional<toml::Value> value = value_of(key, record);
    out += "| `" + std::string(key.name) + "` | " + cell(type_of(key, key.slot(record))) + " | " +
           (no_default != nullptr ? no_default
            : value               ? "`" + toml::to_inline(*value) + "`"
                                  : "unset") +
           " | " + bounds_of(key) + " | " + key.unit + " | " + cell(key.help) + " |\n";
  }
  return out;
}

std::string title(const Section& section) {
  const std::string path = section.path;
  if (section.repeat == Repeat::list) return "[[" + path + "]]";
  return "[" + path + (section.repeat == Repeat::by_id ? ".<id>]" : "]");
}

}  // namespace

std::string reference_markdown() {
  std::string out = kIntroduction;
  Config config;
  for (const Section& section : config_schema()) {
    out += "\n## `" + title(section) + "`\n\n" + section.help + "\n";
    out += keys_table(section, section.add(&config, "<id>"));
  }
  out +=
      "\n## Calibration files\n\nThe cost model of the simulated executor, "
      "`configs/calibrations/<name>.toml`; all "
      "keys but `name`\nand those that say so are required. [SIMULATOR.md](SIMULATOR.md#the-cost-model) says "
      "how they "
      "make a step's time.\n";
  Calibration calibration;
  const Section& section = calibration_schema().front();
  out += keys_table(section, section.add(&calibration, ""), "none");
  out +=
      "\n## Files of A/B experiments\n\nWhat `serveloop ab` runs: arms as overrides of one of the "
      "configurations "
      "above. [AB.md](AB.md) says how to\nread what comes of them.\n";
  AbFile file;
  for (const Section& part : ab_schema())
    out += "\n### `" + title(part) + "`\n\n" + part.help + "\n" + keys_table(part, part.add(&file, ""));
  return out;
}

}  // namespace serveloop::config
