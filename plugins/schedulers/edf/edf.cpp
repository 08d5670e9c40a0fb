// Earliest deadline first (Liu and Layland, 1973): of all that wait or run, who is due first.
#include <serveloop/cpp/orders.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace {

class Edf {
 public:
  explicit Edf(const sl::Setup& setup)
      : preempts_(setup.boolean("preempt")),
        ranked_(setup, {.reason = kDueLater, .decodes_always = true, .room_first = true, .swaps_out = true}) {
  }

  void note(const sl::View& view) { ranked_.hear(view, sl::EarliestDeadline::of); }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    ranked_.write(view, plan, [&](const sl::EarliestDeadline& waiting, const sl::EarliestDeadline& running) {
      return preempts_ && waiting.deadline_ns < running.deadline_ns;
    });
    plan.gauge(kWaiting, static_cast<double>(ranked_.waiting().size()));
    plan.gauge(kPreempted, ranked_.preempted());
  }

 private:
  static constexpr uint16_t kDueLater = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1;

  bool preempts_;
  sl::RankedPlan<sl::EarliestDeadline> ranked_;
};

}  // namespace

SERVELOOP_SCHEDULER(Edf, "edf", "0.1.0");
