// When a modelled device copies what between its tiers: one block after the other, on a stream of its own beside the
// steps, each for as long as the cost model says.
#pragma once

#include <serveloop/base.h>
#include <serveloop/cost.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "execute/executor.hpp"

namespace serveloop::execute {

class CopyTime {
 public:
  explicit CopyTime(const sl_cost& cost) : cost_(cost) {}

  // Copies handed over with a step that starts at `start_ns`: when all before it have ended.
  void submit(std::span<const BlockCopy> copies, std::uint64_t start_ns) {
    if (copies.empty()) return;
    double at = static_cast<double>(std::max(start_ns, busy_until_)) + cost_.swap_fixed_ns;
    for (const BlockCopy& copy : copies) {
      const auto late = delays_.extract(submitted_);
      at += cost_.swap_block_ns + (late.empty() ? 0 : static_cast<double>(late.mapped()));
      pending_.push_back({copy, static_cast<std::uint64_t>(at), failing_.erase(submitted_) > 0});
      ++submitted_;
    }
    busy_until_ = static_cast<std::uint64_t>(at);
  }
  // When the oldest pending copy ends; SL_NEVER where none is.
  std::uint64_t next_end_ns() const { return pending_.empty() ? SL_NEVER : pending_.front().end_ns; }

  // Takes those that have ended by now; `each(copy, fails)` hears of them in order.
  template <class Each>
  void finish(std::uint64_t now_ns, Each&& each) {
    failed_.clear();
    for (; !pending_.empty() && pending_.front().end_ns <= now_ns; pending_.pop_front(), ++ended_) {
      if (pending_.front().fails) failed_.push_back(ended_);
      each(pending_.front().copy, pending_.front().fails);
    }
  }
  void tell(Collected& done) const {
    done.copies_ended = ended_;
    done.copies_failed = failed_;
  }

  // For experiments: copy `ordinal`, from 0 since the start, takes `ns` longer, or fails.
  void delay_copy(std::uint64_t ordinal, std::uint64_t ns) { delays_[ordinal] += ns; }
  void fail_copy(std::uint64_t ordinal) { failing_.insert(ordinal); }

 private:
  struct Pending {
    BlockCopy copy;
    std::uint64_t end_ns;
    bool fails;
  };
  sl_cost cost_;
  std::uint64_t busy_until_ = 0, submitted_ = 0, ended_ = 0;
  std::deque<Pending> pending_;
  std::vector<std::uint64_t> failed_;
  std::map<std::uint64_t, std::uint64_t> delays_;
  std::set<std::uint64_t> failing_;
};

}  // namespace serveloop::execute
