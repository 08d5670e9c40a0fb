// First come, first served (as in vLLM's default): running sequences in admission order, then waiting ones by
// arrival.
//
// Cost of a step: one walk over the running sequences, and one look at each waiting one that it admits.
#include <serveloop/cpp/admit.hpp>

namespace {

class Fcfs {
 public:
  explicit Fcfs(const sl::Setup& setup)
      : parts_(setup, {}, sl::CappedChunks(setup.integer("max_prefill_tokens"))) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, sl::SlotAdmission, sl::CappedChunks> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(Fcfs, "fcfs", "0.1.0");
