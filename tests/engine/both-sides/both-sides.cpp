// Admits one sequence before all that run and one after them, so that a running one that needs a block has
// admissions ranked on both sides.
#include <algorithm>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>

namespace {

class BothSides {
 public:
  explicit BothSides(const sl::Setup& setup) : ready_(setup->sequence_slots) {}

  void note(const sl::View& view) { ready_.hear(view, sl::ArrivalKey::of); }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    uint32_t budget = view->token_budget - std::min(view->token_budget, view->running_count);  // one each
    uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
    auto next = ready_.begin();
    const auto admit_next = [&] {
      if (next == ready_.end() || slots == 0 || budget == 0) return;
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT((next++)->second)];
      const uint32_t tokens = std::min(seq.runnable, budget);
      if (tokens == 0) return;
      plan.admit(seq.id, tokens);
      budget -= tokens;
      --slots;
    };
    admit_next();
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      if (seq.runnable == 0) continue;
      const uint32_t more = std::min(seq.runnable - 1, budget);
      plan.run(seq.id, 1 + more);
      budget -= more;
    }
    admit_next();
  }

 private:
  sl::ReadyQueue<sl::ArrivalKey> ready_;
};

}  // namespace

SERVELOOP_SCHEDULER(BothSides, "both-sides", "0.1.0");
