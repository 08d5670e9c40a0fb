// Skip-join multi-level feedback queue (Wu et al., FastServe, 2023): short work first without knowing lengths. Who has used
// up a level's share of device time goes down; who arrives enters at the level whose share holds its prompt.
#include <serveloop/cpp/feedback_plan.hpp>
#include <serveloop/cpp/scheduler.hpp>

namespace {

class Mlfq {
 public:
  explicit Mlfq(const sl::Setup& setup) : feedback_(setup, kLowerLevel) {}

  void note(const sl::View& view) { feedback_.hear(view, LevelOf{feedback_.levels()}); }

  void plan(const sl::View& view, sl::Plan& plan) {
    feedback_.write(view, plan, LevelOf{feedback_.levels()});
    plan.gauge(kWaiting, static_cast<double>(feedback_.waiting()));
    plan.gauge(kPreempted, feedback_.preempted());
    plan.gauge(kOverdue, static_cast<double>(feedback_.overdue_total()));
  }

 private:
  static constexpr uint16_t kLowerLevel =
      SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1, kOverdue = 2;

  struct LevelOf {
    const sl::Levels& levels;
    uint32_t operator()(const sl::View& view, const sl_seq_row& seq) const {
      const double prompt_ns = sl_predict_prefill_ns(view->cost, 0, view.request(seq).prompt_tokens);
      return levels.after(static_cast<double>(view.cold(seq).service_ns), levels.holding(prompt_ns));
    }
  };

  sl::FeedbackPlan feedback_;
};

}  // namespace

SERVELOOP_SCHEDULER(Mlfq, "mlfq", "0.1.0");
