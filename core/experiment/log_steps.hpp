// The steps of a log, as the fit of the cost model wants them: what each batch was, and how long the device took.
//
// Steps that a policy made under a load are those whose time matters, at the clock that the device then holds (a GPU at the
// limit of its power does not hold the one that it has between single steps). Thread-safe: pure functions.
#pragma once

#include <string>
#include <vector>

#include "experiment/fit.hpp"

namespace serveloop::experiment {

struct LogSteps {
  // In which something ran and that did not fail, in their order; grouped.
  std::vector<MeasuredStep> steps;
  std::string config_toml;  // of the engine that wrote them
  bool complete = false;    // false: the log was cut short, and its last steps are missing
};

// Gives steps of equal work, within 2 % of contexts and pairs, the same group.
void group_alike(std::vector<MeasuredStep>& steps);

// Fails where the file is no step log of this version, or holds a malformed byte.
Result<LogSteps> steps_of_log(const std::string& path);

}  // namespace serveloop::experiment
