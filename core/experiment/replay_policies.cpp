#include "experiment/replay_policies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace serveloop::experiment {

Result<std::vector<config::Override>> overrides_of(const ReplayOptions& options) {
  std::vector<config::Override> overrides;
  const auto name = [&](const char* kind, const std::optional<std::string>& plugin) {
    if (plugin)
      overrides.emplace_back(fmt::format("policy.{}={}", kind, toml::to_inline(toml::Value(*plugin))),
                             fmt::format("--{} {}", kind, *plugin));
  };
  name("scheduler", options.scheduler);
  name("eviction", options.eviction);
  name("preemption", options.preemption);
  static constexpr std::string_view kMayChange[] = {"policy.scheduler", "policy.eviction",
                                                    "policy.preemption", "policy.search"};
  for (const std::string& one : options.overrides) {
    const bool may = std::any_of(std::begin(kMayChange), std::end(kMayChange), [&](std::string_view key) {
      return one.starts_with(key) && one.find_first_of(".=", key.size()) == key.size();
    });
    if (!may)
      return fail("--set " + one, "policy.scheduler, policy.eviction, policy.preemption or policy.search",
                  "another key", "all else is as the log has it");
    overrides.emplace_back(one);
  }
  return overrides;
}

std::vector<std::string> replaced(const config::Policy& before, const config::Policy& now,
                                  const ReplayOptions& options) {
  std::vector<std::string> lines;
  const auto text = [](const config::PluginChoice& choice) {
    return choice.plugin +
           (choice.options.entries().empty() ? "" : " with " + toml::to_inline(choice.options));
  };
  const auto compare = [&](const char* kind, const config::PluginChoice& was, const config::PluginChoice& is,
                           bool named) {
    if (named || !(was == is))
      lines.push_back(fmt::format("{} {} in place of {}", kind, text(is), text(was)));
  };
  compare("scheduler", before.scheduler, now.scheduler, options.scheduler.has_value());
  compare("eviction", before.eviction, now.eviction, options.eviction.has_value());
  compare("preemption", before.preemption, now.preemption, options.preemption.has_value());
  return lines;
}

}  // namespace serveloop::experiment
