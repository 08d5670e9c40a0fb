// A scheduler that keeps its picture of the engine by events alone, and throws where they contradict it: what it was
// told twice, or out of turn, or never.
#include <map>
#include <serveloop/cpp/scheduler.hpp>
#include <stdexcept>
#include <string>

namespace {

class Strict {
 public:
  explicit Strict(const sl::Setup& setup) : fails_at_(setup.integer("fails_at")) {}

  void note(const sl::View& view) {
    for (const sl_event& event : view.events()) hear(event);
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    if (++calls_ == fails_at_) throw std::runtime_error("made to fail");
    note(view);
    uint32_t budget = view->token_budget, slots = view->max_sequences - view->running_count;
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      if (!known_.at(seq.id).runs) throw std::logic_error("not told that a sequence runs");
      const uint32_t tokens = std::min(seq.runnable, budget);
      if (tokens > 0) plan.run(seq.id, tokens);
      budget -= tokens;
    }
    for (const auto& [id, state] : known_) {
      if (state.runs || !state.ready || slots == 0) continue;
      const uint32_t tokens = std::min(view.find(id)->runnable, budget);
      if (tokens == 0) break;
      plan.admit(id, tokens);
      budget -= tokens, --slots;
    }
  }

 private:
  struct State {
    bool ready = false, runs = false;
  };

  void hear(const sl_event& event) {
    if (event.kind == SL_EV_STEP_END) {
      if (event.subject <= last_step_ && last_step_ > 0)
        throw std::logic_error("told twice that a step ended");
      last_step_ = event.subject;
      return;
    }
    if (event.kind == SL_EV_ARRIVED && !known_.try_emplace(event.subject).second)
      throw std::logic_error("told twice of an arrival");
    if (SL_SEQ_GENERATION(event.subject) == 0) return;  // nodes and hints
    const auto known = known_.find(event.subject);
    if (known == known_.end()) throw std::logic_error("not told of an arrival");
    State& state = known->second;
    switch (event.kind) {
      case SL_EV_READY: turn(state.ready, true, "ready"); break;
      case SL_EV_ADMITTED: turn(state.runs, true, "admitted"); break;
      case SL_EV_PARKED: state.ready = false; break;
      case SL_EV_PREEMPTED: state.runs = false; break;
      case SL_EV_PAUSED: state = {}; break;
      case SL_EV_RESUMED: state.ready = true; break;
      case SL_EV_ENDED: known_.erase(known); break;
      default: break;
    }
  }
  static void turn(bool& fact, bool to, const char* what) {
    if (fact == to) throw std::logic_error(std::string("told twice: ") + what);
    fact = to;
  }

  int64_t fails_at_, calls_ = 0;
  uint64_t last_step_ = 0;
  std::map<sl_seq, State> known_;
};

}  // namespace

SERVELOOP_SCHEDULER(Strict, "strict", "0.1.0");
