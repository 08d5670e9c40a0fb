// Runs a configuration's workload on its executor under virtual time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "experiment/rig.hpp"
#include "experiment/summary.hpp"

namespace serveloop::experiment {

// `--swap at=STEP,scheduler=NAME` (or gate, eviction, preemption).
struct PlannedSwap {
  std::uint64_t at_step = 0;
  policy::Kind kind{};
  bool is_gate = false;
  std::uint32_t gate = 0;
  std::string plugin;
};
Result<PlannedSwap> parse_swap(const std::string& text);
// Loads the plugin of a swap. `gate=INDEX:NAME` names the gate that goes.
Result<std::shared_ptr<engine::SwapOrder>> load_swap(const PlannedSwap& swap, const policy::Host& host,
                                                     const policy::Limits& limits);

struct Progress {
  std::uint64_t ended = 0, total = 0;  // requests; total 0 = unknown
  double seconds = 0;                  // of the engine's clock
};

struct SimulateOptions {
  std::string name;                               // of the column
  std::vector<PlannedSwap> swaps;                 // by step
  std::function<void(const Progress&)> progress;  // called now and then
};

// Loads and reads all that a run needs, starts nothing and writes nothing.
Status check(const config::Config& config, const std::vector<PlannedSwap>& swaps);
Result<Summary> simulate(const config::Config& config, const SimulateOptions& options);

}  // namespace serveloop::experiment
