// Sarathi-Serve (Agrawal et al., OSDI 2024): stall-free batching. Every decode runs in every step; prefill is
// cut into chunks that fill what the decodes leave of a small, fixed number of tokens, ongoing prefills
// before new ones.
//
// As in the paper's Algorithm 3, decodes are not limited by the chunk budget, only by the engine's token
// budget: a decode left out would be the very stall that the policy exists to avoid.
#include <algorithm>
#include <serveloop/cpp/admit.hpp>

namespace {

class Sarathi {
 public:
  explicit Sarathi(const sl::Setup& setup)
      : chunk_budget_(static_cast<uint32_t>(setup.integer("chunk_budget"))),
        ready_(setup->sequence_slots),
        bring_in_(setup) {
    prefills_.reserve(2 * setup->max_sequences);
  }

  void note(const sl::View& view) {
    ready_.hear(view, sl::ArrivalKey::of);
    bring_in_.hear(view, sl::ArrivalKey::of);
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    const uint32_t decodes = run_decodes(view, plan, view->token_budget);
    const uint32_t budget = std::min(chunk_budget_, view->token_budget);
    const uint32_t left = run_chunks(view, plan, budget - std::min(budget, decodes));
    sl::admit_in_order(view, plan, ready_, bring_in_, left);
    plan.gauge(kWaiting, static_cast<double>(ready_.size()));
    plan.gauge(kDecodes, decodes);
  }

 private:
  static constexpr uint32_t kWaiting = 0, kDecodes = 1;  // indexes in plugin.toml's gauges

  // Returns the tokens it spent. A prefill's last single token counts as a decode: it costs as much. Notes
  // the others.
  uint32_t run_decodes(const sl::View& view, sl::Plan& plan, uint32_t budget) {
    prefills_.clear();
    uint32_t spent = 0;
    const auto seqs = view.seqs();
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = seqs[slot];
      if (seq.runnable > 1) {
        prefills_.push_back(slot);
      } else if (seq.runnable == 1 && spent < budget) {
        plan.run(seq.id, 1);
        ++spent;
      }
    }
    return spent;
  }

  // Returns the tokens that are left of the budget.
  uint32_t run_chunks(const sl::View& view, sl::Plan& plan, uint32_t budget) const {
    for (const uint32_t slot : prefills_) {
      if (budget == 0) break;
      const sl_seq_row& seq = view.seqs()[slot];
      const uint32_t tokens = std::min(seq.runnable, budget);
      plan.run(seq.id, tokens);
      budget -= tokens;
    }
    return budget;
  }

  uint32_t chunk_budget_;
  sl::ReadyQueue<sl::ArrivalKey> ready_;
  sl::BringIn<sl::ArrivalKey> bring_in_;
  std::vector<uint32_t> prefills_;  // this step's, by slot
};

}  // namespace

SERVELOOP_SCHEDULER(Sarathi, "sarathi", "0.1.0");
