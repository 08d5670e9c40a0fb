// No wake-up is lost: a sleeper counts itself before it looks at the value for the last time, and advance() changes the
// value before it looks at the count, all four sequentially consistent, so one of them sees the other. Between that last
// look and the sleep the kernel compares once more.
#include "execute/cpu/signal.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace serveloop::execute::cpu {
namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free,
              "the kernel reads it as a plain word");

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// An interrupted or needless return is for the caller's loop.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

}  // namespace

// By the clock, since a pause takes 5 ns on one processor and 50 on another. Most waits end before it is read.
std::uint64_t Signal::wait_while(std::uint32_t seen, std::uint64_t spin_ns) {
  constexpr int kLook = 64;  // pauses between looks at the clock
  std::uint64_t until = 0;
  do {
    for (int i = 0; i < kLook; ++i) {
      if (value() != seen) return 0;
      if (spin_ns == 0) return sleep_while(seen);
      relax();
    }
    if (until == 0) until = steady_ns() + spin_ns;
  } while (steady_ns() < until);
  return sleep_while(seen);
}

std::uint64_t Signal::sleep_while(std::uint32_t seen) {
  const std::uint64_t begun = steady_ns();
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (value_.load(std::memory_order_seq_cst) == seen) futex(value_, FUTEX_WAIT, seen);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return steady_ns() - begun;
}

void Signal::advance() {
  value_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) futex(value_, FUTEX_WAKE, INT_MAX);
}

}  // namespace serveloop::execute::cpu
