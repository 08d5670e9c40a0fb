// Other policies, or other options, in the place of those that a step log names. Thread-safe: pure functions.
#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/replay.hpp"

namespace serveloop::experiment {

// What the options ask for, as overrides of the recorded configuration. Refuses keys that a replay can't change.
Result<std::vector<config::Override>> overrides_of(const ReplayOptions& options);
// "scheduler sarathi in place of fcfs", a line for each policy that the options name or change.
std::vector<std::string> replaced(const config::Policy& before, const config::Policy& now,
                                  const ReplayOptions& options);

}  // namespace serveloop::experiment
