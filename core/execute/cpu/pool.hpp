// Threads that stay, for work of one program on many parts: every worker runs the same function, takes its share of
// each phase by its number, and meets the others at barriers. Nothing is allocated or queued in a run.
//
// Thread safety: one thread at a time calls run(), and is worker 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace serveloop::execute::cpu {

struct Share {
  std::int64_t begin, end;
};

class Pool {
 public:
  // At least 1 thread. Throws std::system_error where the system has no more of them.
  explicit Pool(unsigned threads);
  ~Pool() { end(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned size() const { return static_cast<unsigned>(threads_.size()) + 1; }

  // work(worker) on every worker, 0 .. size() - 1; back when all are done. It does not throw: the others would wait for
  // it at a barrier.
  template <class Work>
  void run(const Work& work) {
    static_assert(std::is_nothrow_invocable_v<const Work&, unsigned>);
    start([](const void* at, unsigned worker) { (*static_cast<const Work*>(at))(worker); }, &work);
  }

  // From within a run, by every worker equally often: what was written before it is seen by all after it.
  void barrier() {
    if (size() > 1) meet();
  }

  // The worker's part of [0, n), in units of `unit`.
  Share share(std::int64_t n, unsigned worker, std::int64_t unit = 1) const {
    const std::int64_t units = (n + unit - 1) / unit;
    const auto border = [&](std::int64_t i) {
      const std::int64_t at = units * i / static_cast<std::int64_t>(size()) * unit;
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

  Function function_ = nullptr;  // null: the threads end
  const void* argument_ = nullptr;
  // Apart from each other: one is spun on while the other is counted up.
  alignas(64) std::atomic<std::uint32_t> run_{0};      // grows with each run
  alignas(64) std::atomic<std::uint32_t> arrived_{0};  // at the barrier
  alignas(64) std::atomic<std::uint32_t> passed_{0};   // barriers
  std::vector<std::thread> threads_;
};

}  // namespace serveloop::execute::cpu
