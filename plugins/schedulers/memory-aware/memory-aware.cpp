// Memory-aware admission, after the past-future scheduler (Gong et al., ASPLOS 2025): first come, first served, but nobody
// enters who would make those who run outgrow the pool, as far as lengths can be predicted.
//
// Cost of a step: that of fcfs, and where somebody waits and those who run have changed, one more walk over them.
#include <serveloop/cpp/admit.hpp>
#include <serveloop/cpp/predicted_admission.hpp>

namespace {

class MemoryAware {
 public:
  explicit MemoryAware(const sl::Setup& setup)
      : parts_(setup, {setup, setup.number("watermark"), static_cast<uint32_t>(setup.integer("history"))},
               sl::CappedChunks(setup.integer("max_prefill_tokens"))) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
    plan.gauge(kPeak, parts_.admission().peak_share());
  }

 private:
  static constexpr uint32_t kWaiting = 0, kPeak = 1;  // indexes in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, sl::PredictedAdmission, sl::CappedChunks> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(MemoryAware, "memory-aware", "0.1.0");
