// The engine's clock: real or virtual. Everything that the core calls time comes from here, so a simulation,
// a replay and a live engine run the same code.
#pragma once

#include <cstdint>

namespace serveloop {

// What the host is doing: what a virtual clock charges for, and what causes are told apart by.
enum class Phase : std::uint8_t { tokens, policy, other, idle };

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t now_ns() = 0;
  // Host work of this phase over `rows` rows was just done: a virtual clock moves on by its model, a real one
  // ignores it.
  virtual void charge(Phase phase, std::uint32_t rows) = 0;
  // Waits until `at_ns`: a virtual clock jumps there, a real one sleeps.
  virtual void wait_until(std::uint64_t at_ns) = 0;
};

}  // namespace serveloop
