#include "experiment/planned_swap.hpp"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

namespace serveloop::experiment {

namespace {

constexpr const char* kForm =
    "at=STEP,scheduler=NAME (or eviction=, preemption=, gate=INDEX:NAME), then any options: ,OPTION=VALUE";

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

// "NAME" or "NAME,OPTION=VALUE,...".
Result<policy::Choice> choice_of(std::string plugin) {
  const bool bare = plugin.find(',') == std::string::npos;
  policy::Choice choice{cut(plugin, ','), {}};
  if (bare) return choice;
  Result<toml::Value> options = toml::parse_value("{" + plugin + "}", "--swap");
  if (!options) return tl::unexpected(options.error());
  choice.options = std::move(*options);
  return choice;
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
  const auto bad = [&] { return fail("--swap", kForm, "'" + text + "'"); };
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
  if (const Result<policy::Choice> choice = choice_of(rest); !choice) return tl::unexpected(choice.error());
  std::string name = cut(rest, ',');
  if (name.empty()) return bad();
  if (policy::Search::is_path(name))  // absolute, so that a replay finds it from anywhere
    name = std::filesystem::absolute(name).string();
  swap.plugin = rest.empty() ? name : name + "," + rest;
  return swap;
}

Result<std::shared_ptr<engine::SwapOrder>> load_swap(const PlannedSwap& swap, const policy::Host& host,
                                                     const policy::Limits& limits) {
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = swap.kind;
  order->is_gate = swap.is_gate;
  order->gate = swap.gate;
  order->plugin = swap.plugin;
  const Result<policy::Choice> choice = choice_of(swap.plugin);
  if (!choice) return tl::unexpected(choice.error());
  const auto take = [](auto loaded, auto& into) -> Status {
    if (!loaded) return tl::unexpected(loaded.error());
    into = *loaded;
    if (into->manifest().swap == policy::SwapClass::none)
      return fail(fmt::format("'{}' cannot be swapped in", into->id()),
                  "swap = \"events\" or \"state\" in its manifest", "\"none\"",
                  "start an engine with it instead");
    return {};
  };
  Status loaded;
  switch (swap.kind) {
    case policy::Kind::eviction: loaded = take(host.load_eviction(*choice, limits), order->eviction); break;
    case policy::Kind::preemption:
      loaded = take(host.load_preemption(*choice, limits), order->preemption);
      break;
    default:
      loaded = take(swap.is_gate ? host.load_gate(*choice, limits) : host.load_scheduler(*choice, limits),
                    order->scheduler);
  }
  if (!loaded) return tl::unexpected(loaded.error());
  return order;
}

}  // namespace serveloop::experiment
