// Deadlines and wake times: a heap of (time, sequence, why). Entries of sequences that moved on are skipped
// by the reader, and forgotten when they are many.
#pragma once

#include <serveloop/base.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <vector>

namespace serveloop::requests {

struct Timer {
  enum Why : std::uint32_t { wake, deadline };
  std::uint64_t at_ns;
  sl_seq seq;
  Why why;
  bool operator>(const Timer& other) const {
    return std::tie(at_ns, seq, why) > std::tie(other.at_ns, other.seq, other.why);
  }
};

class Timers {
 public:
  void add(const Timer& timer) {
    if (timer.at_ns == SL_NEVER) return;
    heap_.push_back(timer);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  std::uint64_t next_ns() const { return heap_.empty() ? SL_NEVER : heap_.front().at_ns; }
  // Forgets those at the head for which `stale(timer)`, and all of them once they are most of the heap.
  template <class Stale>
  void prune(Stale&& stale) {
    while (!heap_.empty() && stale(heap_.front())) pop();
    if (heap_.size() < prune_at_) return;
    std::erase_if(heap_, stale);
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    prune_at_ = std::max<std::size_t>(kFew, 2 * heap_.size());
  }
  std::optional<Timer> pop_due(std::uint64_t now_ns) {
    if (next_ns() > now_ns || heap_.empty()) return std::nullopt;
    const Timer timer = heap_.front();
    pop();
    return timer;
  }

 private:
  static constexpr std::size_t kFew = 1024;
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  std::vector<Timer> heap_;  // the earliest first
  std::size_t prune_at_ = kFew;
};

}  // namespace serveloop::requests
