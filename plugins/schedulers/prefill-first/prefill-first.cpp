// Prompts before decodes, as vLLM scheduled before it had chunked prefill (2023): a step is prompts alone, whole ones, or,
// where no prompt can run, decodes alone.
//
// A prompt enters where its blocks fit and a share of the pool stays free, so that it takes none from those who decode.
#include <serveloop/cpp/admit.hpp>

namespace {

class PrefillFirst {
 public:
  explicit PrefillFirst(const sl::Setup& setup)
      : parts_(setup, sl::PromptAdmission(setup.number("watermark")), {}) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, sl::PromptAdmission, sl::PrefillFirst> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(PrefillFirst, "prefill-first", "0.1.0");
