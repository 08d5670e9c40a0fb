// A counter that threads wait on: they spin for a bounded time first, since a hand-over between two running threads takes less than a
// microsecond, then sleep in the kernel (a futex), since a thread whose core is somebody else's comes back after
// milliseconds. Nobody yields: sched_yield() gives up a whole slice, and a thread that calls it often is put off by as many.
//
// Thread safety: any thread may wait or advance; whoever waits knows the value that it waits to change.
#pragma once

#include <atomic>
#include <cstdint>

namespace serveloop::execute::cpu {

class Signal {
 public:
  // While others hold it, what came before their advance() is seen after the value moved.
  std::uint32_t value() const { return value_.load(std::memory_order_acquire); }

  // Until the value is another than `seen`. `spin_ns`: how long to spin before sleep. Returns the nanoseconds of sleep,
  // the time to wake included; 0 without any.
  std::uint64_t wait_while(std::uint32_t seen, std::uint64_t spin_ns);

  // The next value; wakes all who sleep. A system call only if somebody does.
  void advance();

 private:
  std::uint64_t sleep_while(std::uint32_t seen);

  alignas(64) std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace serveloop::execute::cpu
