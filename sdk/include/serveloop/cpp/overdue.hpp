// A bound on waiting, for policies whose order has none: who has waited for half of it becomes overdue, and the policy lets it go
// before all others for a while; the other half is for those who were overdue before it.
//
// Cost: O(log waiting) an event that concerns it, O(1) a step in which nobody becomes overdue.
#pragma once

#include <serveloop/cpp/predict.hpp>
#include <serveloop/cpp/queue.hpp>

namespace sl {

class Overdue {
 public:
  // 0: nobody ever becomes overdue.
  Overdue(const Setup& setup, uint64_t bound_ns)
      : patience_ns_(bound_ns / 2),
        waits_(bound_ns == 0 ? 0 : setup->sequence_slots),
        since_(setup->sequence_slots) {}

  void hear(const View& view) {
    if (patience_ns_ == 0) return;
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_READY:
        case SL_EV_PREEMPTED:
        case SL_EV_TRANSFERRED:
        case SL_EV_RESUMED: {
          const sl_seq_row* seq = view.find(event.subject);
          const bool waits = seq != nullptr && (ready_to_admit(*seq) || seq->state == SL_SWAPPED);
          if (waits) waits_.insert(view.cold(*seq).ready_ns, seq->id);
          break;
        }
        case SL_EV_ADMITTED:
        case SL_EV_PARKED:
        case SL_EV_PAUSED:
        case SL_EV_ENDED: waits_.erase(event.subject); break;
        default: break;
      }
    }
  }
  // Calls become(row) once for each that is overdue by now, the longest wait first: it may rank it anew.
  template <class Become>
  void take(const View& view, Become&& become) {
    while (patience_ns_ > 0 && !waits_.empty()) {
      const auto [ready_ns, seq] = *waits_.begin();
      if (view->now_ns < ready_ns + patience_ns_) return;
      waits_.erase(seq);
      const sl_seq_row* row = view.find(seq);
      if (row == nullptr) continue;
      const auto again_ns = static_cast<uint64_t>(prefill_left_ns(view, *row));
      since_[SL_SEQ_SLOT(seq)] = {seq, view.cold(*row).service_ns + again_ns};
      ++total_;
      become(*row);
    }
  }
  // Device time that it has had since it became overdue, in nanoseconds, or nothing if it never did. What it had to compute
  // first does not count: else two that share memory for one might never get beyond that.
  std::optional<uint64_t> served_ns(const View& view, const sl_seq_row& seq) const {
    const Since& since = since_[SL_SEQ_SLOT(seq.id)];
    if (since.seq != seq.id) return std::nullopt;
    const uint64_t service_ns = view.cold(seq).service_ns;
    return service_ns - std::min(service_ns, since.service_ns);
  }
  uint64_t total() const { return total_; }  // that became so

 private:
  struct Since {
    sl_seq seq = SL_NO_SEQ;
    uint64_t service_ns = 0;
  };
  uint64_t patience_ns_;
  SeqSet<uint64_t> waits_;    // by the time since which they wait; swapped ones too
  std::vector<Since> since_;  // by slot
  uint64_t total_ = 0;
};

}  // namespace sl
