// Real time since the engine's start.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.hpp"

namespace serveloop {

class SteadyClock final : public Clock {
 public:
  void restart() { start_ = std::chrono::steady_clock::now(); }  // before anybody reads it
  std::uint64_t now_ns() override {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_)
            .count());
  }
  void charge(Phase, std::uint32_t) override {}
  void wait_until(std::uint64_t at_ns) override {
    constexpr std::uint64_t kFar = UINT64_MAX / 8;  // 73 years: further on the clock's own type overflows
    std::this_thread::sleep_until(start_ + std::chrono::nanoseconds(std::min(at_ns, kFar)));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace serveloop
