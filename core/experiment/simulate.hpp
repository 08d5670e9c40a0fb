// Runs a configuration's workload on its executor under virtual time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/planned_swap.hpp"
#include "experiment/rig.hpp"
#include "experiment/summary.hpp"

namespace serveloop::experiment {

struct Progress {
  std::uint64_t ended = 0, total = 0;  // requests; total 0 = unknown
  double seconds = 0;                  // of the engine's clock
};

struct SimulateOptions {
  std::string name;                               // of the column
  std::vector<PlannedSwap> swaps;                 // by step
  std::function<void(const Progress&)> progress;  // called now and then
  std::function<bool()> stop;                     // asked before each step: true ends the run there
};

// Loads and reads all that a run needs, starts nothing and writes nothing.
Status check(const config::Config& config, const std::vector<PlannedSwap>& swaps);
Result<Summary> simulate(const config::Config& config, const SimulateOptions& options);

}  // namespace serveloop::experiment
