// `--swap at=STEP,scheduler=NAME`: a hot swap that a run is asked for. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "engine/messages.hpp"

namespace serveloop::rig {

struct PlannedSwap {
  std::uint64_t at_step = 0;
  policy::Kind kind{};
  bool is_gate = false;
  std::uint32_t gate = 0;
  policy::Choice choice;
  bool states_options = false;
  std::string text;  // as it was asked for
};

// "at=STEP,scheduler=NAME", or eviction=, preemption=, gate=INDEX:NAME (the gate that goes). Options may
// follow: ",OPTION=VALUE", each as in an inline table of TOML, or ",options={...}" with the table itself.
Result<PlannedSwap> parse_swap(const std::string& text);
// A swap that states no options, to the plugin that the configuration names for that place (or, for a gate, to
// one that has a table there), takes those of the configuration. ",options={}" asks for the defaults.
PlannedSwap with_configured_options(PlannedSwap swap, const config::Policy& policy);
// Of the step log's text for a choice: "NAME", or "NAME,options={...}".
Result<policy::Choice> recorded_choice(const std::string& plugin);
// Loads the plugin of a swap. Refuses one whose manifest says that it cannot be swapped in.
Result<std::shared_ptr<engine::SwapOrder>> load_swap(const PlannedSwap& swap, const policy::Host& host,
                                                     const policy::Limits& limits);

}  // namespace serveloop::rig
