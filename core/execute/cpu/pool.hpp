// Threads that stay, for work of one program on many parts: every worker runs the same function, takes its share of
// each phase by its number, and meets the others at barriers. Nothing is allocated or queued in a run. Who waits spins
// for some 50 us, then sleeps (signal.hpp).
//
// Thread safety: one thread at a time calls run(), and is worker 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "execute/cpu/crew.hpp"
#include "execute/cpu/signal.hpp"

namespace serveloop::execute::cpu {

struct Share {
  std::int64_t begin, end;
};

// Who takes part in a run: all workers, or fewer while others have their cores (crew.hpp).
enum class Staffing : bool { all, fitting };

class Pool {
 public:
  // At least 1 thread. Throws std::system_error where the system has no more of them.
  explicit Pool(unsigned threads, Staffing staffing = Staffing::all);
  ~Pool() { end(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned size() const { return static_cast<unsigned>(threads_.size()) + 1; }
  // Who takes part in this run, or did in the last one: 1 .. size().
  unsigned workers() const { return workers_; }

  // work(worker) on every worker, 0 .. workers() - 1; back when all are done. It does not throw: the others would wait for
  // it at a barrier.
  template <class Work>
  void run(const Work& work) {
    static_assert(std::is_nothrow_invocable_v<const Work&, unsigned>);
    start([](const void* at, unsigned worker) { (*static_cast<const Work*>(at))(worker); }, &work);
  }

  // From within a run, by every worker equally often: what was written before it is seen by all after it.
  void barrier() {
    if (workers_ > 1) meet();
  }

  // The worker's part of [0, n), in units of `unit`.
  Share share(std::int64_t n, unsigned worker, std::int64_t unit = 1) const {
    const std::int64_t units = (n + unit - 1) / unit;
    const auto border = [&](std::int64_t i) {
      const std::int64_t at = units * i / static_cast<std::int64_t>(workers_) * unit;
      return at < n ? at : n;
    };
    return {border(worker), border(worker + std::int64_t{1})};
  }

 private:
  using Function = void (*)(const void*, unsigned);
  void start(Function function, const void* argument);
  void meet();
  void serve(unsigned worker);
  void end();

  const Staffing staffing_;
  Crew crew_;
  unsigned workers_;
  std::uint64_t spin_ns_;
  Function function_ = nullptr;  // null: the threads end
  const void* argument_ = nullptr;
  std::uint64_t late_ns_ = 0;  // what worker 0 slept in this run
  // Apart from each other: one is spun on while the other is counted up.
  alignas(64) std::atomic<std::uint32_t> arrived_{0};  // at the barrier
  Signal passed_;                                      // barriers
  std::vector<Signal> seats_;                          // by worker: runs that it takes part in
  std::vector<std::thread> threads_;
};

}  // namespace serveloop::execute::cpu
