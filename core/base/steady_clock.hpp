// Real time since the engine's start.
#pragma once

#include <chrono>
#include <thread>

#include "base/clock.hpp"

namespace serveloop {

class SteadyClock final : public Clock {
 public:
  std::uint64_t now_ns() override {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_)
            .count());
  }
  void charge(Phase, std::uint32_t) override {}
  void wait_until(std::uint64_t at_ns) override {
    std::this_thread::sleep_until(start_ + std::chrono::nanoseconds(at_ns));
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace serveloop
