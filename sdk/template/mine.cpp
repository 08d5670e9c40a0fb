// Shortest prompt first: what runs goes on; of those that wait, the one with the fewest prompt tokens starts
// next.
#include <algorithm>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>

class Mine {
 public:
  explicit Mine(const sl::Setup& setup) : ready_(setup->sequence_slots) {}

  void note(const sl::View& view) {  // what happened since the last call
    ready_.hear(view, [](const sl::View& v, const sl_seq_row& seq) {
      return std::pair(v.request(seq).prompt_tokens, sl::ArrivalKey::of(v, seq));
    });
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    uint32_t budget = view->token_budget, slots = view->max_sequences - view->running_count;
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      const uint32_t tokens = std::min(seq.runnable, budget);
      if (tokens > 0) plan.run(seq.id, tokens);
      budget -= tokens;
    }
    for (const auto& [key, id] : ready_) {
      const uint32_t tokens = std::min(view.find(id)->runnable, budget);
      if (tokens == 0 || slots == 0) break;
      plan.admit(id, tokens);
      budget -= tokens, --slots;
    }
  }

 private:
  sl::ReadyQueue<std::pair<uint32_t, sl::ArrivalKey>> ready_;
};

SERVELOOP_SCHEDULER(Mine, "mine", "0.1.0");
