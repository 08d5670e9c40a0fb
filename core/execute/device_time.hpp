// When a modelled device runs what: one step after the other, each for as long as the cost model says.
#pragma once

#include <serveloop/cost.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "base/clock.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute {

class DeviceTime {
 public:
  struct Step {
    std::uint64_t step = 0, start_ns = 0, end_ns = 0, decode_ns = 0;
    bool fails = false;
  };
  DeviceTime(Clock& clock, const sl_cost& cost) : clock_(clock), cost_(cost) {}

  void submit(const Batch& batch) {
    std::uint64_t context = 0;
    double pairs = 0;
    for (const BatchRow& row : batch.rows) {
      if (row.decode)
        context += row.start + 1;
      else
        pairs += sl_chunk_pairs(row.start, row.tokens);
    }
    const bool runs = !batch.rows.empty();
    const double whole =
        runs ? sl_predict_step_ns(&cost_, batch.decodes, context, batch.prefill_tokens, pairs) : 0;
    const double decode = runs ? sl_predict_step_ns(&cost_, batch.decodes, context, 0, 0) : 0;
    const std::uint64_t start = std::max(clock_.now_ns(), busy_until_);
    const auto late = delays_.extract(batch.step);
    busy_until_ = start + static_cast<std::uint64_t>(whole) + (late.empty() ? 0 : late.mapped());
    steps_.push_back(
        {batch.step, start, busy_until_, static_cast<std::uint64_t>(decode), failing_.erase(batch.step) > 0});
  }
  bool last_fails() const { return steps_.back().fails; }
  std::uint64_t last_start_ns() const { return steps_.back().start_ns; }
  // Waits for the oldest step.
  Step collect() {
    const Step step = steps_.front();
    steps_.pop_front();
    clock_.wait_until(step.end_ns);
    return step;
  }

  // For experiments: step `step` takes `ns` longer, or fails.
  void delay_step(std::uint64_t step, std::uint64_t ns) { delays_[step] += ns; }
  void fail_step(std::uint64_t step) { failing_[step] = true; }

 private:
  Clock& clock_;
  sl_cost cost_;
  std::uint64_t busy_until_ = 0;
  std::deque<Step> steps_;
  std::map<std::uint64_t, std::uint64_t> delays_;
  std::map<std::uint64_t, bool> failing_;
};

}  // namespace serveloop::execute
