// Runs a configuration that is given as text, with the build tree's plugins, as `serveloop simulate` does.
#pragma once

#include <string>
#include <vector>

#include "../need.hpp"
#include "experiment/run.hpp"
#include "rig/device.hpp"

namespace serveloop::test {

struct PolicyRun {
  experiment::Summary summary;
  std::vector<experiment::SequenceEnd> sequences;  // in the order of their ends
  std::vector<engine::Finished> ends;              // the same
};

// Relative paths in the text count from the folder of the project. `overrides` are as with `--set`. Throws what is wrong with
// the configuration, and where the linked-in policy had to answer.
inline PolicyRun run_policy(const std::string& toml, const std::vector<config::Override>& overrides = {},
                            experiment::RunOptions options = {}) {
  config::Config config = need(config::parse(toml, "test.toml", SERVELOOP_SOURCE_ROOT, overrides));
  config.policy.search.push_back(SERVELOOP_BUILD_PLUGINS);
  if (const Status found = rig::resolve_calibration(config, SERVELOOP_SOURCE_ROOT "/configs"); !found)
    throw std::runtime_error(found.error().message());
  PolicyRun run;
  options.ended = [&](const experiment::SequenceEnd& of) {
    run.sequences.push_back(of);
    run.ends.push_back(of.end);
  };
  run.summary = need(experiment::run(config, options));
  for (const auto& [what, count] : run.summary.counters.fallbacks)
    throw std::runtime_error("kind " + std::to_string(what.first) + " fell back " + std::to_string(count) +
                             " times, reason " + std::to_string(what.second));
  for (const std::vector<std::string>& went_wrong : {run.summary.incidents, run.summary.missed})
    if (!went_wrong.empty()) throw std::runtime_error(went_wrong.front());
  return run;
}

// Prompt tokens that were found in the cache, of those looked up.
inline double hit_rate(const PolicyRun& run) {
  const engine::Counters& c = run.summary.counters;
  return static_cast<double>(c.hit_tokens) / static_cast<double>(c.lookup_tokens);
}

// The longest time from an arrival to its first admission.
inline std::uint64_t longest_wait_ns(const PolicyRun& run) {
  std::uint64_t longest = 0;
  for (const engine::Finished& end : run.ends) longest = std::max(longest, end.admitted_ns - end.arrival_ns);
  return longest;
}

}  // namespace serveloop::test
