// Evictions to be regretted: of a block whose content entered the tree again, computed anew, soon after it was evicted.
//
// Cost: one entry of a hash table for each block evicted in the window, looked up by each block that enters while there are
// any. The loop thread's.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "kv/types.hpp"

namespace serveloop::kv {

class Regrets {
 public:
  static constexpr std::uint64_t kWindowNs = 60'000'000'000;

  void evicted(Key key, std::uint64_t now_ns) {
    forget(now_ns);
    if (2 * (used_ + 1) > table_.size()) grow();
    Gone& gone = table_[place(key)];
    used_ += gone.key == 0 ? 1 : 0;
    gone = {key, now_ns};
    oldest_first_.push_back(gone);
  }
  // Counts each eviction once.
  void entered(Key key, std::uint64_t now_ns) {
    if (used_ == 0) return;
    const std::size_t at = place(key);
    if (table_[at].key == 0) return;
    count_ += now_ns - table_[at].at_ns <= kWindowNs ? 1 : 0;
    erase(at);
  }
  std::uint64_t count() const { return count_; }  // since the start
  std::size_t remembered() const { return used_; }

 private:
  struct Gone {
    Key key = 0;  // 0: empty
    std::uint64_t at_ns = 0;
  };

  void forget(std::uint64_t now_ns) {
    for (; !oldest_first_.empty() && now_ns - oldest_first_.front().at_ns > kWindowNs;
         oldest_first_.pop_front()) {
      const std::size_t at = place(oldest_first_.front().key);
      if (table_[at].key != 0 && table_[at].at_ns == oldest_first_.front().at_ns)
        erase(at);  // else evicted again since
    }
  }
  std::size_t home_of(Key key) const {
    return static_cast<std::size_t>(key) & (table_.size() - 1);
  }                                   // it is a hash
  std::size_t place(Key key) const {  // the key's entry, or the empty one where it belongs
    std::size_t i = home_of(key);
    while (table_[i].key != 0 && table_[i].key != key) i = (i + 1) & (table_.size() - 1);
    return i;
  }
  void erase(std::size_t hole) {
    const std::size_t mask = table_.size() - 1;
    for (std::size_t i = (hole + 1) & mask; table_[i].key != 0; i = (i + 1) & mask) {
      if (((i - home_of(table_[i].key)) & mask) < ((i - hole) & mask))
        continue;  // it would move above its home
      table_[hole] = table_[i];
      hole = i;
    }
    table_[hole] = Gone{};
    --used_;
  }
  void grow() {
    std::vector<Gone> old(table_.size() * 2);
    std::swap(old, table_);
    for (const Gone& gone : old)
      if (gone.key != 0) table_[place(gone.key)] = gone;
  }

  std::vector<Gone> table_ = std::vector<Gone>(64);  // a power of two; open addressing, linear probing
  std::deque<Gone> oldest_first_;
  std::size_t used_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace serveloop::kv
