// A gate that parks each arrival for a fixed time; in mode "run" it answers with a verb that no gate may use.
#include <serveloop/cpp/scheduler.hpp>

namespace {

class Hold {
 public:
  explicit Hold(const sl::Setup& setup)
      : hold_ns_(static_cast<uint64_t>(setup.integer("hold_us")) * 1000),
        runs_(setup.text("mode") == "run") {}

  void plan(const sl::View& view, sl::Plan& plan) const {
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
  static constexpr uint16_t kHeld = SL_REASON_PLUGIN + 0;  // index in plugin.toml's reasons
  uint64_t hold_ns_;
  bool runs_;
};

}  // namespace

SERVELOOP_SCHEDULER(Hold, "hold", "0.1.0");
