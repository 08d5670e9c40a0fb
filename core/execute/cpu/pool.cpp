// A run opens with run_ and closes with a barrier, so all that a run wrote is seen by whoever called it.
#include "execute/cpu/pool.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace serveloop::execute::cpu {
namespace {

// A phase of a decode step takes microseconds, waking a sleeper tens of them. So: some pauses, then turns of the core
// given away, which costs little on a core of one's own and is what the others need on a shared one; then sleep.
constexpr int kPauses = 100;
constexpr int kYields = 50;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

void wait_while(const std::atomic<std::uint32_t>& at, std::uint32_t value) {
  for (int i = 0; i < kPauses + kYields; ++i) {
    if (at.load(std::memory_order_acquire) != value) return;
    i < kPauses ? relax() : std::this_thread::yield();
  }
  at.wait(value, std::memory_order_acquire);
}

}  // namespace

Pool::Pool(unsigned threads) : threads_(threads - 1) {
  try {
    for (unsigned i = 1; i < threads; ++i) threads_[i - 1] = std::thread([this, i] { serve(i); });
  } catch (...) {
    end();
    throw;
  }
}

void Pool::end() {
  function_ = nullptr;
  run_.fetch_add(1, std::memory_order_seq_cst);
  run_.notify_all();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Pool::start(Function function, const void* argument) {
  if (size() > 1) {
    function_ = function;
    argument_ = argument;
    run_.fetch_add(1, std::memory_order_seq_cst);
    run_.notify_all();
  }
  function(argument, 0);
  barrier();
}

void Pool::serve(unsigned worker) {
  for (std::uint32_t seen = 0;; ++seen) {
    wait_while(run_, seen);
    if (function_ == nullptr) return;
    function_(argument_, worker);
    barrier();
  }
}

void Pool::meet() {
  const std::uint32_t before = passed_.load(std::memory_order_relaxed);  // cannot move until this one arrived
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < size()) return wait_while(passed_, before);
  arrived_.store(0, std::memory_order_relaxed);
  // Sequentially consistent: notify_all asks whether anybody sleeps, and libstdc++ 12 does so by a plain load, which must
  // not come before this store, or a worker that falls asleep between them sleeps for ever.
  passed_.store(before + 1, std::memory_order_seq_cst);
  passed_.notify_all();
}

}  // namespace serveloop::execute::cpu
