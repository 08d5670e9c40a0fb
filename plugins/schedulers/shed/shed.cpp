// Shedding by class: a gate that refuses at once what would come too late, lowest priority first (after DAGOR: Zhou et al.,
// "Overload Control for Scaling WeChat Microservices", 2018, which sheds by priority on the time spent in the queue).
//
// The wait of one that arrives is predicted as the device time of those that wait and will go before it. So a class is
// refused for its own load and that of higher ones, never for that of lower ones. Cost: O(priorities) for each that arrives.
#include <map>
#include <serveloop/cpp/predict.hpp>
#include <serveloop/cpp/scheduler.hpp>

namespace {

class Shed {
 public:
  explicit Shed(const sl::Setup& setup)
      : max_wait_ns_(static_cast<double>(setup.integer("max_wait_ms")) * 1e6),
        by_priority_(setup.text("order") == "priority"),
        by_deadline_(setup.boolean("deadlines")),
        spared_from_(setup.integer("spare_from")),
        prediction_(setup.text("output")),
        waiting_(setup->sequence_slots) {}

  void note(const sl::View& view) {
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_READY:
        case SL_EV_PREEMPTED:
        case SL_EV_RESUMED: waits(view, event.subject); break;
        case SL_EV_ADMITTED:
        case SL_EV_PAUSED:
        case SL_EV_ENDED: leaves(event.subject); break;
        default: break;
      }
    }
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    for (const sl_event& event : view.events())
      if (event.kind == SL_EV_ARRIVED) arrives(view, plan, event.subject);
    plan.gauge(kBacklog, before(INT32_MIN) / 1e9);
    plan.gauge(kShed, static_cast<double>(shed_));
  }

 private:
  struct Work {
    sl_seq seq = SL_NO_SEQ;
    int32_t priority = 0;
    double ns = 0;
  };
  static constexpr uint16_t kTooLate = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kBacklog = 0, kShed = 1;

  void arrives(const sl::View& view, sl::Plan& plan, sl_seq id) {
    const sl_seq_row* seq = view.find(id);
    if (seq == nullptr || seq->state != SL_WAITING || (seq->not_ready & SL_NOT_READY_UNGATED) == 0) return;
    const sl_request_row& r = view.request(*seq);
    if (seq->fork == 0) refused_ = late(view, r);  // all its sequences, or none
    if (refused_) {
      plan.reject(id, kTooLate);
      ++shed_;
      return;
    }
    waits(view, id);
  }
  bool late(const sl::View& view, const sl_request_row& r) const {
    double limit_ns = max_wait_ns_;
    if (by_deadline_ && r.ttft_deadline_ns != SL_NEVER) {
      const double prompt_ns = sl_predict_prefill_ns(view->cost, 0, r.prompt_tokens);
      limit_ns = static_cast<double>(r.ttft_deadline_ns) - static_cast<double>(view->now_ns) - prompt_ns;
    }
    return r.priority < spared_from_ && before(r.priority) > limit_ns;
  }

  void waits(const sl::View& view, sl_seq id) {
    const sl_seq_row* seq = view.find(id);
    if (seq == nullptr || seq->state == SL_RUNNING || seq->state == SL_ENDED) return;
    leaves(id);
    const sl_request_row& r = view.request(*seq);
    const uint32_t prompt = seq->fork == 0 ? r.prompt_tokens : 0;  // the others hit it
    const double whole = sl::device_share_ns(*view->cost, prompt, prediction_.tokens(r), view->running_count);
    const double left = std::max(whole - static_cast<double>(view.cold(*seq).service_ns), 0.0);
    waiting_[SL_SEQ_SLOT(id)] = {id, r.priority, left};
    Backlog& backlog = backlog_[r.priority];
    backlog.ns += left;
    ++backlog.sequences;
  }
  void leaves(sl_seq id) {
    Work& work = waiting_[SL_SEQ_SLOT(id)];
    if (work.seq != id) return;
    const auto backlog = backlog_.find(work.priority);
    backlog->second.ns -= work.ns;
    if (--backlog->second.sequences == 0) backlog_.erase(backlog);  // rounding ends with it
    work.seq = SL_NO_SEQ;
  }
  // Device time of those that wait and go before one of this priority.
  double before(int32_t priority) const {
    double ns = 0;
    for (auto at = by_priority_ ? backlog_.lower_bound(priority) : backlog_.begin(); at != backlog_.end();
         ++at)
      ns += at->second.ns;
    return ns;
  }

  struct Backlog {
    double ns = 0;
    uint32_t sequences = 0;
  };
  double max_wait_ns_;
  bool by_priority_, by_deadline_;
  int64_t spared_from_;
  sl::OutputPrediction prediction_;
  std::vector<Work> waiting_;           // by slot
  std::map<int32_t, Backlog> backlog_;  // by priority
  bool refused_ = false;                // the request whose sequences are arriving
  uint64_t shed_ = 0;
};

}  // namespace

SERVELOOP_SCHEDULER(Shed, "shed", "0.1.0");
