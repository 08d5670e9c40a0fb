// Static batching (FasterTransformer): a batch is filled while nothing runs, and nobody enters until all of it has ended.
//
// Each of the batch holds the blocks of its prompt and its max_tokens from the start, as there: nobody yields for memory.
#include <algorithm>
#include <serveloop/cpp/admit.hpp>

namespace {

// Worst case, and only into an empty machine.
class BatchAdmission {
 public:
  explicit BatchAdmission(int64_t most) : most_(most > 0 ? static_cast<uint32_t>(most) : UINT32_MAX) {}
  void hear(const sl::View&) {}
  void start(const sl::View& view) {
    room_.start(view);
    places_ = view->running_count == 0 ? most_ : 0;
  }
  std::optional<uint32_t> room_for(const sl::View& view, const sl_seq_row& seq) {
    return places_ == 0 ? std::nullopt : room_.room_for(view, seq);
  }
  void enters(const sl::View& view, const sl_seq_row& seq) {
    room_.enters(view, seq);
    --places_;
  }

 private:
  uint32_t most_, places_ = 0;
  sl::WorstCaseAdmission room_;
};

// All that enter do so in one step: each gets at least a token of its budget, the first as much as the others leave.
struct SpreadPrompts {
  uint32_t run(const sl::View& view, sl::Plan& plan) {
    return sl::run_in_order(view, plan, view->token_budget, UINT32_MAX);
  }
  uint32_t of_prompt(uint32_t uncached, uint32_t left, uint32_t behind) const {
    return std::min(uncached, left - std::min(left - 1, behind));
  }
  void rest(const sl::View&, sl::Plan&) {}
};

class Static {
 public:
  explicit Static(const sl::Setup& setup) : parts_(setup, BatchAdmission(setup.integer("batch")), {}) {}

  void note(const sl::View& view) { parts_.hear(view); }

  void plan(const sl::View& view, sl::Plan& plan) {
    parts_.write(view, plan);
    plan.gauge(kWaiting, static_cast<double>(parts_.waiting()));
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges
  sl::PlanInOrder<sl::ArrivalKey, BatchAdmission, SpreadPrompts> parts_;
};

}  // namespace

SERVELOOP_SCHEDULER(Static, "static", "0.1.0");
