// First come, first served (as in vLLM's default): running sequences in admission order, then waiting ones by
// arrival.
//
// Cost of a step: one walk over the running sequences, and one look at each waiting one that it admits.
#include <algorithm>
#include <serveloop/cpp/admit.hpp>

namespace {

class Fcfs {
 public:
  explicit Fcfs(const sl::Setup& setup) : ready_(setup->sequence_slots), bring_in_(setup) {
    const int64_t cap = setup.integer("max_prefill_tokens");
    if (cap > 0) max_prefill_tokens_ = static_cast<uint32_t>(cap);
  }

  void note(const sl::View& view) {
    ready_.hear(view, sl::ArrivalKey::of);
    bring_in_.hear(view, sl::ArrivalKey::of);
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    const uint32_t budget = run_all(view, plan, view->token_budget);
    sl::admit_in_order(view, plan, ready_, bring_in_, budget, max_prefill_tokens_);
    plan.gauge(kWaiting, static_cast<double>(ready_.size()));
  }

 private:
  static constexpr uint32_t kWaiting = 0;  // index in plugin.toml's gauges

  // Returns the tokens that are left of the budget.
  uint32_t run_all(const sl::View& view, sl::Plan& plan, uint32_t budget) const {
    const auto seqs = view.seqs();
    for (const uint32_t slot : view.running()) {
      if (budget == 0) break;
      const sl_seq_row& seq = seqs[slot];
      const uint32_t tokens = std::min({seq.runnable, max_prefill_tokens_, budget});
      if (tokens == 0) continue;  // all that it could run is in flight
      plan.run(seq.id, tokens);
      budget -= tokens;
    }
    return budget;
  }

  uint32_t max_prefill_tokens_ = UINT32_MAX;
  sl::ReadyQueue<sl::ArrivalKey> ready_;
  sl::BringIn<sl::ArrivalKey> bring_in_;
};

}  // namespace

SERVELOOP_SCHEDULER(Fcfs, "fcfs", "0.1.0");
