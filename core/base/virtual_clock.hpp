// Virtual time: moves on by a model of the host's work, jumps over waits. Deterministic; the loop thread's.
#pragma once

#include <array>
#include <cstddef>

#include "base/clock.hpp"

namespace serveloop {

// Host time of one phase: fixed, and per row. Zero everywhere: the host is infinitely fast.
struct HostModel {
  struct Cost {
    double fixed_ns = 0, row_ns = 0;
  };
  Cost tokens, policy, other;
};

class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(HostModel model = {}) : model_(model) {}
  std::uint64_t now_ns() override { return now_; }
  void charge(Phase phase, std::uint32_t rows) override;
  void wait_until(std::uint64_t at_ns) override {
    if (at_ns > now_) now_ = at_ns;
  }
  // For experiments: the next charge of `phase` takes `ns` longer.
  void delay_next(Phase phase, std::uint64_t ns) { delay_[static_cast<std::size_t>(phase)] += ns; }

 private:
  HostModel model_;
  std::uint64_t now_ = 0;
  std::array<std::uint64_t, 4> delay_{};
};

}  // namespace serveloop
