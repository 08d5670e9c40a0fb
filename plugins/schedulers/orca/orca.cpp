// Orca (Yu et al., OSDI 2022): iteration-level scheduling. At each step whoever has ended leaves and whoever fits enters, in
// order of arrival; an entrant holds the blocks of its prompt and its max_tokens from the start, so nobody yields for memory.
//
// Cost of a step: one walk over the running sequences, and one look at each waiting one that it admits.
#include <serveloop/cpp/admit.hpp>

namespace {

class Orca {
 public:
  explicit Orca(const sl::Setup& setup) : parts_(setup, {}, {}) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, sl::WorstCaseAdmission, sl::WholePrompts> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(Orca, "orca", "0.1.0");
