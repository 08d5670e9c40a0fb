// Strict priority (as vLLM's priority policy): everything in the order (priority, arrival), running or
// waiting.
#include <serveloop/cpp/orders.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace {

class Priority {
 public:
  explicit Priority(const sl::Setup& setup)
      : hysteresis_(setup.integer("hysteresis")), ranked_(setup, {.reason = kOutranked}) {}

  void note(const sl::View& view) { ranked_.hear(view, sl::ByPriority::of); }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    // Never true of equals, so that two of one priority cannot take a slot from each other in turns.
    ranked_.write(view, plan, [&](const sl::ByPriority& waiting, const sl::ByPriority& running) {
      return running.below_top - waiting.below_top > hysteresis_;
    });
    plan.gauge(kWaiting, static_cast<double>(ranked_.waiting().size()));
    plan.gauge(kPreempted, ranked_.preempted());
  }

 private:
  static constexpr uint16_t kOutranked = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1;

  int64_t hysteresis_;
  sl::RankedPlan<sl::ByPriority> ranked_;
};

}  // namespace

SERVELOOP_SCHEDULER(Priority, "priority", "0.1.0");
