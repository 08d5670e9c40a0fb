// Sarathi-Serve (Agrawal et al., OSDI 2024): stall-free batching. Every decode runs in every step; prefill is
// cut into chunks that fill what the decodes leave of a small, fixed number of tokens, ongoing prefills
// before new ones.
//
// As in the paper's Algorithm 3, decodes are not limited by the chunk budget, only by the engine's token
// budget: a decode left out would be the very stall that the policy exists to avoid.
#include <serveloop/cpp/admit.hpp>

namespace {

class Sarathi {
 public:
  explicit Sarathi(const sl::Setup& setup)
      : parts_(setup, {}, sl::DecodesFirst(setup, static_cast<uint32_t>(setup.integer("chunk_budget")))) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
    plan.gauge(kDecodes, parts_.chunking().decodes());
  }

 private:
  static constexpr uint32_t kWaiting = 0, kDecodes = 1;  // indexes in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, sl::SlotAdmission, sl::DecodesFirst> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(Sarathi, "sarathi", "0.1.0");
