// The simulated executor: a device that takes the cost model's time and yields seeded tokens.
#pragma once

#include <array>
#include <vector>

#include "execute/copy_time.hpp"
#include "execute/device_time.hpp"
#include "execute/native_only.hpp"

namespace serveloop::execute {

class SimulatedExecutor final : public NativeOnly {
 public:
  SimulatedExecutor(Clock& clock, const sl_cost& cost, std::uint32_t max_sequences);
  void submit(const Batch& batch) override;
  Collected collect() override;
  DeviceTime& device() { return device_; }
  CopyTime& copies() { return copies_; }

 private:
  Clock& clock_;
  DeviceTime device_;
  CopyTime copies_;
  std::vector<std::uint64_t> seeds_;               // by row
  std::deque<std::vector<std::uint32_t>> tokens_;  // of steps in flight
  std::vector<std::vector<std::uint32_t>> spare_;
  std::vector<std::uint32_t> last_;
};

// Zero device time, one constant token: for measuring the host.
class NullExecutor final : public NativeOnly {
 public:
  explicit NullExecutor(Clock& clock) : clock_(clock) {}
  void submit(const Batch& batch) override;
  Collected collect() override;

 private:
  struct Step {
    std::uint64_t step, at_ns;
    std::size_t rows;
    std::uint64_t copies;  // since the start
  };
  Clock& clock_;
  std::uint64_t copies_ = 0;
  std::deque<Step> steps_;
  std::vector<std::uint32_t> tokens_;
};

}  // namespace serveloop::execute
