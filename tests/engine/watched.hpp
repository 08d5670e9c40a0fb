// The clock and the executor that a test's engine gets, with somebody watching.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/virtual_clock.hpp"
#include "execute/hash.hpp"

namespace serveloop::test {

// Tells what the host is done with.
class WatchedClock final : public Clock {
 public:
  explicit WatchedClock(VirtualClock& clock) : clock_(clock) {}
  std::uint64_t now_ns() override { return clock_.now_ns(); }
  void wait_until(std::uint64_t at_ns) override { clock_.wait_until(at_ns); }
  void charge(Phase phase, std::uint32_t rows) override {
    clock_.charge(phase, rows);
    if (watch) watch(phase);
  }
  std::function<void(Phase)> watch;

 private:
  VirtualClock& clock_;
};

// Tells what it is given, before it runs, and what it gives back.
class WatchedExecutor final : public execute::Executor {
 public:
  explicit WatchedExecutor(execute::HashExecutor& executor)
      : executor_(executor), keys_(executor.op_keys().begin(), executor.op_keys().end()) {
    for (std::uint32_t i = 0; i < keys_.size(); ++i) {  // no two alike
      keys_[i].layer_kind = i % 2 == 0 ? SL_LAYER_FULL : SL_LAYER_SLIDING;
      keys_[i].can = static_cast<std::uint16_t>(1u << SL_DTYPE_NATIVE | i << 1);
      keys_[i].n = 64 + i, keys_[i].k = 1000 + i;
    }
  }
  void submit(const execute::Batch& batch) override {
    if (submitted) submitted(batch);
    executor_.submit(batch);
  }
  execute::Collected collect() override {
    execute::Collected done = executor_.collect();
    if (collected) collected(done);
    return done;
  }
  std::span<const sl_op_key> op_keys() const override { return keys_; }
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override {
    return executor_.apply(mode, plans);
  }
  std::span<const sl_op_plan> effective(std::uint32_t mode) const override {
    return executor_.effective(mode);
  }
  std::function<void(const execute::Batch&)> submitted;
  std::function<void(const execute::Collected&)> collected;

 private:
  execute::HashExecutor& executor_;
  std::vector<sl_op_key> keys_;
};

}  // namespace serveloop::test
