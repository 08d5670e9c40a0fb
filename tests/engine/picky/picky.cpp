// A gate, or a scheduler, that parks or rejects every n-th arrival, and from a given call on throws whatever
// it is asked. As a scheduler it runs nothing by itself: the built-in one does so each time it is asked for
// progress.
#include <serveloop/cpp/scheduler.hpp>
#include <stdexcept>

namespace {

class Picky {
 public:
  explicit Picky(const sl::Setup& setup)
      : every_(setup.integer("every")),
        good_calls_(setup.integer("good_calls")),
        wake_us_(setup.integer("wake_us")),
        rejects_(setup.text("verb") == "reject"),
        is_gate_(setup->is_gate != 0) {}

  void plan(const sl::View& view, sl::Plan& plan) {
    if (++calls_ > good_calls_) throw std::runtime_error("picky has had enough");
    const uint64_t wake = wake_us_ == 0 ? SL_NEVER : view->now_ns + static_cast<uint64_t>(wake_us_) * 1000;
    for (const sl_event& event : view.events()) {
      if (event.kind != (is_gate_ ? SL_EV_ARRIVED : SL_EV_READY)) continue;
      const sl_seq_row* seq = view.find(event.subject);
      if (seq == nullptr || seq->state != SL_WAITING || seq->generated > 0) continue;
      if (is_gate_ ? (seq->not_ready & SL_NOT_READY_UNGATED) == 0 : seq->not_ready != 0)
        continue;  // passed before
      if (++seen_ % every_ != 0) continue;
      if (rejects_)
        plan.reject(seq->id, kNotWanted);
      else
        plan.park(seq->id, wake, kNotWanted);
    }
  }

 private:
  static constexpr uint16_t kNotWanted = SL_REASON_PLUGIN + 0;  // index in plugin.toml's reasons
  int64_t every_, good_calls_, wake_us_, calls_ = 0, seen_ = 0;
  bool rejects_, is_gate_;
};

}  // namespace

#ifndef PICKY_ID
#define PICKY_ID "picky"
#endif
SERVELOOP_SCHEDULER(Picky, PICKY_ID, "0.1.0");
