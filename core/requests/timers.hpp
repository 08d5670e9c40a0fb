// Deadlines and wake times: a heap of (time, sequence, why). Entries of sequences that moved on are skipped
// by the reader.
#pragma once

#include <serveloop/base.h>

#include <cstdint>
#include <optional>
#include <queue>
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
    if (timer.at_ns != SL_NEVER) heap_.push(timer);
  }
  std::uint64_t next_ns() const { return heap_.empty() ? SL_NEVER : heap_.top().at_ns; }
  std::optional<Timer> pop_due(std::uint64_t now_ns) {
    if (next_ns() > now_ns || heap_.empty()) return std::nullopt;
    const Timer timer = heap_.top();
    heap_.pop();
    return timer;
  }

 private:
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> heap_;
};

}  // namespace serveloop::requests
