// First come, first served, as soon as it is made: that takes as long as it is told, as that of a policy that reads a
// large table would.
#include <algorithm>
#include <chrono>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>
#include <thread>

namespace {

class SlowCreate {
 public:
  explicit SlowCreate(const sl::Setup& setup) : ready_(setup->sequence_slots) {
    std::this_thread::sleep_for(std::chrono::microseconds(setup.integer("sleep_us")));
  }

  void note(const sl::View& view) { ready_.hear(view, sl::ArrivalKey::of); }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    uint32_t budget = view->token_budget;
    const auto seqs = view.seqs();
    const auto tokens_of = [&](const sl_seq_row& seq) { return std::min(seq.runnable, budget); };
    for (const uint32_t slot : view.running()) {
      const uint32_t tokens = tokens_of(seqs[slot]);
      if (tokens > 0) plan.run(seqs[slot].id, tokens);
      budget -= tokens;
    }
    uint32_t room = view->max_sequences - std::min(view->max_sequences, view->running_count);
    for (auto next = ready_.begin(); next != ready_.end() && room > 0 && budget > 0; ++next, --room) {
      const sl_seq_row& seq = seqs[SL_SEQ_SLOT(next->second)];
      const uint32_t tokens = tokens_of(seq);
      if (tokens > 0) plan.admit(seq.id, tokens);
      budget -= tokens;
    }
  }

 private:
  sl::ReadyQueue<sl::ArrivalKey> ready_;
};

}  // namespace

SERVELOOP_SCHEDULER(SlowCreate, "slow-create", "0.1.0");
