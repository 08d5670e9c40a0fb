// The clock and the executor that a test's engine gets, with somebody watching.
#pragma once

#include <functional>
#include <span>

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
  explicit WatchedExecutor(execute::HashExecutor& executor) : executor_(executor) {}
  void submit(const execute::Batch& batch) override {
    if (submitted) submitted(batch);
    executor_.submit(batch);
  }
  execute::Collected collect() override {
    execute::Collected done = executor_.collect();
    if (collected) collected(done);
    return done;
  }
  std::span<const sl_op_key> op_keys() const override { return executor_.op_keys(); }
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
};

}  // namespace serveloop::test
