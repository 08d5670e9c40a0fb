// Which policies were in force over a run, place by place. The loop thread's.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.hpp"

namespace serveloop::experiment {

class PolicyTrail {
 public:
  explicit PolicyTrail(const engine::Policies& policies);
  void note(const engine::Policies& policies);  // after each change
  // Gates, scheduler, eviction, preemption, precision: "fcfs", "fcfs -> sarathi"; "linked-in" after an ejection.
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<const policy::Instance*> now_;
  std::vector<std::string> texts_;
};

}  // namespace serveloop::experiment
