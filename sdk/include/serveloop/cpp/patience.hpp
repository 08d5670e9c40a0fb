// Who has waited for half of a bound on waiting. A policy lets those go before all others; the other half is for those who were
// overdue before them. No policy keeps a bound that is shorter than what the machine needs for who came before.
//
// Cost: O(log waiting) for each that comes, goes or is overdue; O(1) where nobody is.
#pragma once

#include <serveloop/cpp/queue.hpp>

namespace sl {

class Patience {
 public:
  // 0: nobody is ever overdue.
  Patience(const Setup& setup, uint64_t bound_ns)
      : half_ns_(bound_ns / 2), waits_(half_ns_ == 0 ? 0 : setup->sequence_slots) {}

  // It waits, since it last became ready.
  void add(const View& view, const sl_seq_row& seq) {
    if (half_ns_ > 0) waits_.insert(view.cold(seq).ready_ns, seq.id);
  }
  void erase(sl_seq seq) {
    if (half_ns_ > 0) waits_.erase(seq);
  }
  // Calls overdue(row) for each that has waited for so long by now, the longest wait first, and forgets it.
  template <class Overdue>
  void take(const View& view, Overdue&& overdue) {
    while (half_ns_ > 0 && !waits_.empty()) {
      const auto [ready_ns, id] = *waits_.begin();
      if (view->now_ns < ready_ns + half_ns_) return;
      waits_.erase(id);
      if (const sl_seq_row* seq = view.find(id)) overdue(*seq);
    }
  }

 private:
  uint64_t half_ns_;
  SeqSet<uint64_t> waits_;  // by the time since which they wait
};

}  // namespace sl
