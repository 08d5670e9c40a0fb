#include "rig/planned_swap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>

namespace serveloop::rig {

namespace {

constexpr const char* kForm =
    "at=STEP,scheduler=NAME (or eviction=, preemption=, gate=INDEX:NAME), then any options: ,OPTION=VALUE "
    "or ,options={...}";

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Takes what stands before `end` off the front of `text`, and the character itself; all where there is none.
std::string cut(std::string& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  std::string head = text.substr(0, at);
  text.erase(0, at + 1);
  return head;
}

bool is_bare(const std::string& plugin) { return plugin.find(',') == std::string::npos; }

// "NAME", "NAME,OPTION=VALUE,..." or "NAME,options={...}".
Result<policy::Choice> parse_choice(std::string plugin, const std::string& option) {
  const bool bare = is_bare(plugin);
  policy::Choice choice{cut(plugin, ','), {}};
  if (bare) return choice;
  Result<toml::Value> options = toml::parse_value("{" + plugin + "}", option);
  if (!options) return tl::unexpected(options.error());
  const toml::Value* table = options->find("options");
  if (table != nullptr && table->is_table() && options->entries().size() > 1)
    return fail(option, "either options={...} or OPTION=VALUE,...", "both");
  if (table != nullptr && table->is_table()) {
    toml::Value inner = *table;  // a part of what it is assigned to
    *options = std::move(inner);
  }
  choice.options = std::move(*options);
  return choice;
}

// Does another policy follow the first, outside quotes and brackets? ",eviction=NAME" is no option.
bool names_another(const std::string& options) {
  static constexpr std::string_view kWords[] = {"at=", "scheduler=", "eviction=", "preemption=", "gate="};
  char quote = 0;
  int depth = 0;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const char c = options[i];
    const std::string_view rest = std::string_view(options).substr(i);
    const bool begins = quote == 0 && depth == 0 && (i == 0 || options[i - 1] == ',');
    if (begins && std::any_of(std::begin(kWords), std::end(kWords),
                              [&](std::string_view word) { return rest.starts_with(word); }))
      return true;
    if (quote != 0)
      quote = c == quote ? 0 : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
  }
  return false;
}

// What the configuration says of that place and plugin; null where it names another.
const config::PluginChoice* configured_choice(const PlannedSwap& swap, const config::Policy& policy) {
  if (swap.is_gate) {
    const auto table = policy.gate.find(swap.choice.plugin);
    if (table != policy.gate.end()) return &table->second;
    if (swap.gate >= policy.gates.size()) return nullptr;
  }
  const config::PluginChoice& choice = swap.is_gate ? policy.gate.at(policy.gates[swap.gate])
                                       : swap.kind == policy::Kind::eviction   ? policy.eviction
                                       : swap.kind == policy::Kind::preemption ? policy.preemption
                                                                               : policy.scheduler;
  return choice.plugin == swap.choice.plugin ? &choice : nullptr;
}

// The kind, and for a gate its index, off the front of `rest`.
bool take_kind(const std::string& word, std::string& rest, PlannedSwap& swap) {
  swap.is_gate = word == "gate";
  if (word == "scheduler" || swap.is_gate)
    swap.kind = policy::Kind::scheduler;
  else if (word == "eviction")
    swap.kind = policy::Kind::eviction;
  else if (word == "preemption")
    swap.kind = policy::Kind::preemption;
  else
    return false;
  std::uint64_t gate = 0;
  if (swap.is_gate && (!number(cut(rest, ':'), gate) || gate > SL_NONE)) return false;
  swap.gate = static_cast<std::uint32_t>(gate);
  return true;
}

}  // namespace

Result<PlannedSwap> parse_swap(const std::string& text) {
  const auto bad = [&] {
    return fail("--swap", kForm, "'" + text + "'", text.starts_with("at=") ? "" : "at= comes first");
  };
  PlannedSwap swap;
  swap.text = text;
  std::string rest = text;
  const std::string at = cut(rest, ',');
  if (at.rfind("at=", 0) != 0 || !number(std::string_view(at).substr(3), swap.at_step)) return bad();
  const std::string kind = cut(rest, '=');
  if (kind == "precision")
    return fail("--swap", "a scheduler, gate, eviction or preemption plugin", "precision",
                "precision is fixed when weights are loaded; start another engine");
  if (!take_kind(kind, rest, swap) || rest.ends_with(',')) return bad();
  if (!is_bare(rest) && names_another(rest.substr(rest.find(',') + 1)))
    return fail("--swap", "one policy", "'" + text + "'", "repeat --swap for each");
  swap.states_options = !is_bare(rest);
  Result<policy::Choice> choice = parse_choice(rest, "--swap " + text);
  if (!choice) return tl::unexpected(choice.error());
  swap.choice = std::move(*choice);
  std::string& name = swap.choice.plugin;
  if (name.empty()) return bad();
  if (policy::Search::is_path(name))  // absolute, so that a replay finds it from anywhere
    name = std::filesystem::absolute(name).lexically_normal().string();
  return swap;
}

PlannedSwap with_configured_options(PlannedSwap swap, const config::Policy& policy) {
  if (swap.states_options) return swap;
  if (const config::PluginChoice* choice = configured_choice(swap, policy))
    swap.choice = {choice->plugin, choice->options};
  return swap;
}

Result<policy::Choice> recorded_choice(const std::string& plugin) { return parse_choice(plugin, "swap"); }

Result<std::shared_ptr<engine::SwapOrder>> load_swap(const PlannedSwap& swap, const policy::Host& host,
                                                     const policy::Limits& limits) {
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = swap.kind;
  order->is_gate = swap.is_gate;
  order->gate = swap.gate;
  order->plugin = swap.choice.plugin;
  if (!swap.choice.options.entries().empty())
    order->plugin += ",options=" + toml::to_inline(swap.choice.options);
  const auto take = [&order](auto loaded, auto& into) -> Status {
    if (!loaded) return tl::unexpected(loaded.error());
    into = *loaded;
    order->sha256 = into->library().sha256();
    if (into->manifest().swap == policy::SwapClass::none)
      return fail(fmt::format("'{}' cannot be swapped in", into->id()),
                  "swap = \"events\" or \"state\" in its manifest", "\"none\"",
                  "start an engine with it instead");
    return {};
  };
  Status loaded;
  switch (swap.kind) {
    case policy::Kind::eviction:
      loaded = take(host.load_eviction(swap.choice, limits), order->eviction);
      break;
    case policy::Kind::preemption:
      loaded = take(host.load_preemption(swap.choice, limits), order->preemption);
      break;
    default:
      loaded =
          take(swap.is_gate ? host.load_gate(swap.choice, limits) : host.load_scheduler(swap.choice, limits),
               order->scheduler);
  }
  if (!loaded) return tl::unexpected(loaded.error());
  return order;
}

}  // namespace serveloop::rig
