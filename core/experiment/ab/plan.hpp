// Which runs an A/B experiment takes: every arm with every repeat, all checked before the first runs. Not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/ab.hpp"
#include "config/config.hpp"
#include "experiment/ab/result.hpp"
#include "rig/device.hpp"

namespace serveloop::experiment::ab {

// What distinguishes a repeat from the others.
struct Repeat {
  std::uint64_t seed = 0;
  std::optional<config::Window> window;
};

struct PlannedRun {
  std::size_t arm = 0, repeat = 0;
  config::Config config;
  // SHA-256 of all that its results depend on: configuration, device, plugins, trace and this program. Equal: in virtual
  // time the results would come out again.
  std::string fingerprint;
};

struct Plan {
  config::AbFile file;
  config::AbWorkload workload;  // one of the file's
  std::size_t baseline = 0;
  std::vector<Repeat> repeats;
  std::vector<PlannedRun> runs;  // in the order in which they run
  bool real_time = false;
};

// Of one of the file's workloads. `common`: overrides of its base for all arms. Reads everything, the models too; starts and
// writes nothing. Errors name the file and the arm.
Result<Plan> make_plan(const config::AbFile& file, const config::AbWorkload& workload,
                       const std::vector<config::Override>& common, const rig::Progress& progress = nullptr);

// Arms of a repeat: A B, then B A, and with more of them rotated, so that none always runs first or behind the same one.
std::vector<std::size_t> order_of(std::size_t arms, std::size_t repeat);

// Runs it. Interrupted: no result. `options`: what the run hears and tells; its `ended` is taken.
Result<std::optional<RunResult>> run_one(const Plan& plan, const PlannedRun& run, RunOptions options);

// Did this repeat bring nothing that the first did not? In virtual time, the same results to the nanosecond in each arm: the
// seed draws nothing then that a policy could see. `arms`: their runs so far, two or more.
bool same_as_first(const std::vector<std::vector<RunResult>>& arms);

}  // namespace serveloop::experiment::ab
