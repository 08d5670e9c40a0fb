// Runs a configuration's workload on its executor: under virtual time, or in real time where the executor is real.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/stated.hpp"
#include "experiment/summary.hpp"
#include "experiment/workload.hpp"
#include "rig/planned_swap.hpp"
#include "rig/rig.hpp"

namespace serveloop::experiment {

struct Progress {
  std::uint64_t ended = 0, total = 0;  // requests; total 0 = unknown
  double seconds = 0;                  // of the engine's clock
};

// A sequence's end, and what was asked of it.
struct SequenceEnd {
  std::uint64_t identity = 0, begun_ns = 0;  // of its request: labelling.hpp, Issue
  Stated stated;
  engine::Finished end;  // where the bounded intake refused it: fork, arrival and finish alone
};

struct RunOptions {
  std::string name;                                    // of the column
  std::vector<rig::PlannedSwap> swaps;                 // by step
  std::function<void(const Progress&)> progress;       // called now and then
  rig::Progress loading;                               // hears what takes long before the start; may be null
  std::function<bool()> stop;                          // asked before each step: true ends the run there
  std::function<void(const engine::Engine&)> stepped;  // called after each step
  std::function<void(const SequenceEnd&)> ended;       // hears each; may be null
};

// The requests that an engine of these options will meet. Fails where it can never take them.
Result<Workload> workload_for(const config::Workload& config, const engine::Options& options);
// Loads and reads all that a run needs, starts nothing and writes nothing.
Status check(const config::Config& config, const std::vector<rig::PlannedSwap>& swaps);
Result<Summary> run(const config::Config& config, const RunOptions& options);

}  // namespace serveloop::experiment
