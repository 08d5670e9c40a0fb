// A bound on waiting (patience.hpp) for policies that rank all sequences, swapped and preempted ones too: who became overdue, and what it
// has had since then.
//
// Cost: O(log waiting) an event that concerns it, O(1) a step in which nobody becomes overdue.
#pragma once

#include <serveloop/cpp/patience.hpp>
#include <serveloop/cpp/predict.hpp>

namespace sl {

class Overdue {
 public:
  // 0: nobody ever becomes overdue.
  Overdue(const Setup& setup, uint64_t bound_ns)
      : patience_(setup, bound_ns), since_(setup->sequence_slots) {}

  void hear(const View& view) {
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_READY:
        case SL_EV_PREEMPTED:
        case SL_EV_TRANSFERRED:
        case SL_EV_RESUMED: {
          const sl_seq_row* seq = view.find(event.subject);
          const bool waits = seq != nullptr && (ready_to_admit(*seq) || seq->state == SL_SWAPPED);
          if (waits) patience_.add(view, *seq);
          break;
        }
        case SL_EV_ADMITTED:
        case SL_EV_PARKED:
        case SL_EV_PAUSED:
        case SL_EV_ENDED: patience_.erase(event.subject); break;
        default: break;
      }
    }
  }
  // Calls become(row) once for each that is overdue by now, the longest wait first: it may rank it anew.
  template <class Become>
  void take(const View& view, Become&& become) {
    patience_.take(view, [&](const sl_seq_row& seq) {
      const auto again_ns = static_cast<uint64_t>(prefill_left_ns(view, seq));
      since_[SL_SEQ_SLOT(seq.id)] = {seq.id, view.cold(seq).service_ns + again_ns};
      ++total_;
      become(seq);
    });
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
  Patience patience_;
  std::vector<Since> since_;  // by slot
  uint64_t total_ = 0;
};

}  // namespace sl
