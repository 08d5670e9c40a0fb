// Takes the steps of a plan on an executor and times them as the engine does: by the device times of what is collected.
//
// It drives the executor itself, through submit and collect, with tables and tokens as the engine would send them. A
// workload through the engine would leave the batches to the policy: contexts, batch sizes and chunks move together
// there, so that their costs cannot be told apart. What the loop adds to a step is host time, which is not the model's.
//
// All KV that a step reads was written, so that memory stands behind it; whose tokens it once was does not matter to the
// time. Thread safety: one thread, which has the executor for itself.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/sampling.hpp"
#include "execute/executor.hpp"
#include "experiment/fit.hpp"
#include "experiment/step_plan.hpp"

namespace serveloop::experiment {

struct StepRunOptions {
  // Each takes all shapes once, in an order of its own, so that drift hits all kinds alike.
  std::uint32_t rounds = 5;
  std::function<bool(double share)> go_on;  // asked between shapes; false: stop. May be null
};

// Steps of the same shape and place in it share a group; one round before the others warms up and is not among them.
// Requires an executor whose mode 0 is applied and whose sizes are the limits'. `vocabulary`: token ids are below it.
// Fails where a step does, or go_on() says so.
Result<std::vector<MeasuredStep>> run_steps(execute::Executor& executor, const StepLimits& limits,
                                            std::uint32_t vocabulary, const StepRunOptions& options);

}  // namespace serveloop::experiment
