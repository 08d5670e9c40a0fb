// May a calibration be fitted to a log? Only where it is of the executor, model, precision or simulated device that the
// configuration names, and holds steps of both kinds. Which GPU or CPU it ran on a log does not tell. Thread-safe: pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/log_steps.hpp"

namespace serveloop::experiment {

inline constexpr std::size_t kLeastOfAKind = 5;  // that prefill, and that decode
inline constexpr std::size_t kFewOfAKind = 20;   // below it: a warning

// What is doubtful about a log, a line each. Fails where it is of another executor, model, precision or simulated device,
// or holds no step. Requires that [simulated] calibration is a path.
Result<std::vector<std::string>> check_log(const LogSteps& log, const config::Config& config);

// The same of the steps of all logs: are there enough that prefill and that decode?
Result<std::vector<std::string>> check_kinds(std::span<const MeasuredStep> steps);

}  // namespace serveloop::experiment
