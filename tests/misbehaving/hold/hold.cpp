// A gate that parks each arrival for a fixed time. In mode "run" it answers with a verb that no gate may use; in mode
// "strict" it parks none, and throws when a sequence ends that it was not told of as ready.
#include <deque>
#include <serveloop/cpp/scheduler.hpp>
#include <set>
#include <stdexcept>

namespace {

class Hold {
 public:
  explicit Hold(const sl::Setup& setup)
      : hold_ns_(static_cast<uint64_t>(setup.integer("hold_us")) * 1000),
        runs_(setup.text("mode") == "run"),
        strict_(setup.text("mode") == "strict"),
        one_at_a_time_(setup.text("mode") == "one-at-a-time") {}

  void plan(const sl::View& view, sl::Plan& plan) {
    if (strict_) return watch(view);
    if (one_at_a_time_) return queue(view, plan);
    for (const sl_event& event : view.events()) {
      if (event.kind != SL_EV_ARRIVED) continue;
      const sl_seq_row* seq = view.find(event.subject);
      if (seq == nullptr || (seq->not_ready & SL_NOT_READY_UNGATED) == 0) continue;  // passed before
      if (runs_)
        plan.run(seq->id, 1);
      else
        plan.park(seq->id, view->now_ns + hold_ns_, kHeld);
    }
  }

 private:
  void watch(const sl::View& view) {
    for (const sl_event& event : view.events()) {
      if (event.kind == SL_EV_READY && !ready_.insert(event.subject).second)
        throw std::runtime_error("told twice that a sequence is ready");
      if (event.kind == SL_EV_ENDED && ready_.erase(event.subject) == 0)
        throw std::runtime_error("not told that a sequence was ready");
    }
  }
  static constexpr uint16_t kHeld = SL_REASON_PLUGIN + 0;  // index in plugin.toml's reasons
  uint64_t hold_ns_;
  // Lets the next one through once the one before has ended.
  void queue(const sl::View& view, sl::Plan& plan) {
    for (const sl_event& event : view.events()) {
      if (event.kind == SL_EV_ENDED && event.subject == passed_) passed_ = SL_NO_SEQ;
      if (event.kind != SL_EV_ARRIVED) continue;
      if (passed_ == SL_NO_SEQ && waiting_.empty())
        passed_ = event.subject;
      else {
        waiting_.push_back(event.subject);
        plan.park(event.subject, SL_NEVER, kHeld);
      }
    }
    if (passed_ != SL_NO_SEQ || waiting_.empty()) return;
    passed_ = waiting_.front();
    waiting_.pop_front();
    plan.release(passed_);
  }

  bool runs_, strict_, one_at_a_time_;
  std::set<sl_seq> ready_;
  std::deque<sl_seq> waiting_;
  sl_seq passed_ = SL_NO_SEQ;
};

}  // namespace

SERVELOOP_SCHEDULER(Hold, "hold", "0.1.0");
