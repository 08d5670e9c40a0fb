// Feeds a step log to the same plugins and holds every decision against the recorded one, byte for byte.
//
// The engine runs as it ran: messages, clock readings and the executor's results come from the log;
// everything that it decides, and everything that follows from that, must come out equal. The first
// difference ends the replay.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "observe/step_log.hpp"

namespace serveloop::experiment {

struct ReplayOptions {
  bool any_build = false;  // go on though a plugin's object differs from the one that wrote the log
  // Policies are not asked: the log answers for them (tables as a function of the log).
  bool recorded_answers = false;
  std::optional<std::string> scheduler, eviction, preemption;  // try others in their place: ids or paths
  // As --set takes them, after these: of policy.scheduler, .eviction, .preemption and .search alone, since all else
  // is as the log has it.
  std::vector<std::string> overrides;
  std::function<void(std::uint64_t steps)> progress;
  std::function<void(const engine::Engine&)> each_step;  // for tests
};

struct Difference {
  std::uint64_t step = 0;
  std::string what;  // kind of item
  std::string recorded, replayed;
  std::string context;  // what the step held, and what led to it
  std::string text() const;
};

struct ReplayResult {
  std::uint64_t steps = 0, idle = 0;  // idle: of these, in which nothing was planned or collected
  std::uint64_t decisions = 0;        // answers of policies compared
  std::vector<std::string> replaced;  // "scheduler sarathi in place of fcfs", as the options asked
  double wall_seconds = 0;
  bool complete = true;  // false: the log was cut off; all of it was equal
  std::optional<Difference> difference;
};

Result<ReplayResult> replay(const std::string& path, const ReplayOptions& options);

}  // namespace serveloop::experiment
