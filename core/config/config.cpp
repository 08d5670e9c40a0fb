// Loading: parse, override, fill by the schema, then what concerns more than one key.
#include "config/config.hpp"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <set>

#include "base/joined.hpp"
#include "base/suggest.hpp"
#include "config/check_workload.hpp"
#include "config/schema.hpp"

namespace serveloop::config {
namespace {

using toml::Value;

toml::Array array_of(const std::vector<std::string>& texts) {
  toml::Array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

// Checks across keys. Each opens its error with the place of the key that it is about, where the document has
// it.
class Checker {
 public:
  explicit Checker(Config& config) : config_(config) {}

  Status run() {
    for (const auto check :
         {&Checker::pool, &Checker::plugins, &Checker::gates, &Checker::tenants, &Checker::rules}) {
      if (Status status = (this->*check)(); !status) return status;
    }
    return check_workload(config_.workload, config_.places);
  }

 private:
  std::string at(const std::string& key) const { return config_.places.named(key); }
  bool overridden(const std::string& key) const { return config_.places.of_command_line(key); }

  Status pool() {
    Engine& engine = config_.engine;
    if (!std::has_single_bit(engine.block_tokens))
      return fail(at("engine.block_tokens"), "a power of two", std::to_string(engine.block_tokens));
    if (!engine.kv_memory_bytes || !engine.kv_blocks) return {};
    // An override of one replaces the other of the file.
    const bool memory = overridden("engine.kv_memory"), blocks = overridden("engine.kv_blocks");
    if (memory == blocks) {
      return fail(at("engine.kv_blocks"), "either engine.kv_memory or engine.kv_blocks", "both",
                  "remove one of them");
    }
    if (memory) engine.kv_blocks.reset();
    if (blocks) engine.kv_memory_bytes.reset();
    return {};
  }

  Status plugin(const std::string& table, const PluginChoice& choice) const {
    if (choice.plugin.empty()) return fail(at(table + ".plugin"), "a plugin's id or path", "an empty string");
    if (choice.isolation != "process") return {};
    return fail(at(table + ".isolation"), "\"inline\"", "\"process\"",
                "isolation is not available in this version");
  }

  Status plugins() {
    const Policy& policy = config_.policy;
    if (policy.deadline_us != 0)
      return fail(at("policy.deadline_us"), "0", std::to_string(policy.deadline_us),
                  "a longest time of a policy call is not available in this version");
    const std::pair<const char*, const PluginChoice*> all[] = {{"policy.scheduler", &policy.scheduler},
                                                               {"policy.eviction", &policy.eviction},
                                                               {"policy.preemption", &policy.preemption},
                                                               {"policy.precision", &policy.precision}};
    for (const auto& [table, choice] : all) {
      if (Status status = plugin(table, *choice); !status) return status;
    }
    return {};
  }

  // A gate's id is its plugin's where no table says otherwise, and so is none of a path.
  Status gate_id(const std::string& key, const std::string& id) const {
    if (id.find('/') == std::string::npos) return {};
    return fail(at(key), "the id of a gate", "'" + id + "', a path",
                "name it freely, and its plugin in a table: [policy.gate.NAME] plugin = \"PATH\"");
  }

  // A table for a gate that is switched off is fine in a file that says which gates run, an option on the command line where
  // that says it. Else it can only be meant for one that runs.
  Status gate_table(const std::string& id) const {
    const std::vector<std::string>& gates = config_.policy.gates;
    const std::string table = "policy.gate." + id, option = config_.places.command_line_key(table);
    if (option.empty() ? config_.places.states("policy.gates") : overridden("policy.gates")) return {};
    std::vector<std::string> with_it = gates;
    with_it.push_back(id);
    const std::string list = toml::to_inline(toml::Value(array_of(with_it)));
    const std::string near = nearest(id, gates);
    const std::string hint = !near.empty()    ? "did you mean '" + near + "'?"
                             : option.empty() ? "write gates = " + list + " in [policy], or remove the table"
                                              : "to run it, --set 'policy.gates=" + list + "'";
    return fail(at(option.empty() ? table : option),
                "one of the gates in policy.gates (" + joined(gates, "none") + ")", "'" + id + "'", hint);
  }

  Status gates() {
    Policy& policy = config_.policy;
    std::set<std::string> seen;
    for (const std::string& id : policy.gates) {
      if (id.empty() || !seen.insert(id).second) {
        return fail(at("policy.gates"), "each gate once",
                    id.empty() ? "an empty name" : "'" + id + "' twice");
      }
      if (Status status = gate_id("policy.gates", id); !status) return status;
    }
    for (auto& [id, choice] : policy.gate) {
      if (!seen.contains(id))
        if (Status used = gate_table(id); !used) return used;
      if (Status status = gate_id("policy.gate", id); !status) return status;
      if (choice.plugin.empty()) choice.plugin = id;
      if (Status status = plugin("policy.gate." + id, choice); !status) return status;
    }
    for (const std::string& id : policy.gates)
      if (!policy.gate.contains(id)) policy.gate[id].plugin = id;
    return {};
  }

  Status tenants() {
    std::map<std::string, std::string> owner;
    for (const auto& [id, tenant] : config_.tenants) {
      for (const std::string& key : tenant.keys) {
        const auto [other, fresh] = owner.emplace(key, id);
        if (key.empty())
          return fail(at("tenants." + id + ".keys"), "keys that are not empty", "an empty one");
        // The key is a secret: it is not named.
        if (!fresh) {
          return fail(at("tenants." + id + ".keys"), "each key once",
                      "one that is also of '" + other->second + "'");
        }
      }
    }
    return {};
  }

  Status rules() {
    for (std::size_t i = 0; i < config_.rules.size(); ++i) {
      PriorityRule& rule = config_.rules[i];
      const std::string table = "priority.rule." + std::to_string(i);
      if (rule.name.empty()) rule.name = "rule " + std::to_string(i + 1);
      if (!rule.priority && !rule.service_class) {
        return fail(at(table), "a priority or a class", "neither");
      }
      if (rule.min_prompt_tokens.value_or(0) > rule.max_prompt_tokens.value_or(UINT32_MAX)) {
        return fail(at(table + ".min_prompt_tokens"),
                    "at most max_prompt_tokens, " + std::to_string(*rule.max_prompt_tokens),
                    std::to_string(*rule.min_prompt_tokens));
      }
    }
    return {};
  }

  Config& config_;
};

// A string where a table may stand (scheduler = "sarathi") becomes that table, if the override is of a key in it.
Status spread(Value& document, const std::string& prefix, const std::string& shorthand,
              std::string_view path) {
  const Value* above = document.at(prefix);
  if (above == nullptr || !above->is_string() || !path.starts_with(prefix + ".")) return {};
  Value table;
  table[shorthand] = *above;
  return document.set(prefix, std::move(table));
}

Status override_one(Value& document, const Override& one) {
  const std::string_view path = std::string_view(one.assignment).substr(0, one.assignment.find('='));
  for (const Section& section : config_schema()) {
    if (*section.shorthand == '\0') continue;
    std::string prefix = section.path;
    if (section.repeat == Repeat::by_id && path.starts_with(prefix + "."))
      prefix = path.substr(0, path.find('.', prefix.size() + 1));
    if (Status made = spread(document, prefix, section.shorthand, path); !made) return made;
  }
  return toml::apply_override(document, one.assignment, one.option);
}

Result<Config> build(Value document, const std::string& folder, const std::vector<Override>& overrides) {
  for (const Override& one : overrides) {
    if (Status status = override_one(document, one); !status) return tl::unexpected(status.error());
  }
  Config config;
  if (Status status = fill(config_schema(), &config, document, folder); !status) {
    return tl::unexpected(status.error());
  }
  config.places = Places(std::move(document), folder);
  if (Status status = Checker(config).run(); !status) return tl::unexpected(status.error());
  return config;
}

// A long assignment is shown by its beginning, one that may hold a secret by its key.
std::string shown(const std::string& assignment) {
  constexpr std::size_t kShown = 100;
  const std::size_t equals = std::min(assignment.find('='), assignment.size());
  if (assignment.starts_with("tenants") || assignment.starts_with("priority"))
    return "--set " + assignment.substr(0, equals) + "=...";
  return "--set " + (assignment.size() <= kShown ? assignment : assignment.substr(0, kShown) + "...");
}

}  // namespace

Override::Override(std::string of_set) : assignment(std::move(of_set)), option(shown(assignment)) {}

std::string folder_of(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).parent_path().lexically_normal().string();
}

Result<Config> load(const std::string& path, const std::vector<Override>& overrides) {
  Result<Value> document = toml::parse_file(path);
  if (!document) return tl::unexpected(document.error());
  return build(std::move(*document), folder_of(path), overrides);
}

Result<Config> parse(std::string_view text, std::string_view source_name, const std::string& folder,
                     const std::vector<Override>& overrides) {
  Result<Value> document = toml::parse(text, source_name);
  if (!document) return tl::unexpected(document.error());
  return build(std::move(*document), folder, overrides);
}

std::string to_toml(const Config& config) {
  Config copy = config;  // the schema's slots are not const
  Value document = dump(config_schema(), &copy);
  keep_workload_keys(document, config.workload);
  return toml::to_toml(document);
}

}  // namespace serveloop::config
