// Plans as fcfs does, and tells by its dump all that the last `plan` and the last `note` could read, and what
// it answered. With a host tier it asks back whoever is swapped, and for every other one the prefix that is cached there.
#include <algorithm>
#include <serveloop/cpp/bring_in.hpp>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>

#include "../dump.hpp"

namespace {

class ProbeScheduler {
 public:
  explicit ProbeScheduler(const sl::Setup& setup) : ready_(setup->sequence_slots) {
    probe::dump_create(create_, setup);
  }

  static const void* extension(const char* id) { return probe::dump_extension<ProbeScheduler>(id); }

  std::string account() const {
    probe::Text calls;
    calls.line("calls", "plan", plans_);
    calls.line("calls", "note", notes_);
    return calls.str() + create_.str() + plan_.str() + note_.str();
  }

  void note(const sl::View& view) {
    ++notes_;
    note_.clear();
    probe::dump_view(note_, "note.view", view);
    ready_.hear(view, sl::ArrivalKey::of);
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    ++plans_;
    plan_.clear();
    probe::dump_view(plan_, "plan.view", view);
    ready_.hear(view, sl::ArrivalKey::of);
    uint32_t budget = view->token_budget;
    uint32_t slots = view->max_sequences - std::min(view->max_sequences, view->running_count);
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      const uint32_t tokens = std::min(seq.runnable, budget);
      if (tokens > 0) write(plan.size(), seq.id), plan.run(seq.id, tokens);
      budget -= tokens;
    }
    for (const sl_seq_row& seq : view.seqs())
      if (seq.state == SL_SWAPPED && seq.not_ready == 0) write(plan.size(), seq.id), plan.swap_in(seq.id);
    for (auto next = ready_.begin(); next != ready_.end() && slots > 0 && budget > 0; ++next) {
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(next->second)];
      if (seq.fork % 2 == 0 && seq.computed == 0 && sl::cached_prefix(view, seq).host_blocks > 0) {
        write(plan.size(), seq.id);
        plan.prefetch(seq.id, 0);
        continue;
      }
      const uint32_t tokens = std::min(uncached(view, seq), budget);
      if (tokens == 0) continue;
      write(plan.size(), seq.id);
      plan.admit(seq.id, tokens);
      budget -= tokens;
      --slots;
    }
    plan.gauge(0, static_cast<double>(ready_.size()));
  }

 private:
  void write(uint32_t index, sl_seq seq) {
    plan_.line("plan.entry[" + std::to_string(index) + "]", "seq", seq);
  }
  static uint32_t uncached(const sl::View& view, const sl_seq_row& seq) {
    if (seq.runnable == 0) return 0;
    const uint32_t known = seq.computed + seq.in_flight_max + seq.runnable;
    const uint32_t most = (known - 1) / view->block_tokens * view->block_tokens;
    return std::min(seq.runnable, known - std::min(sl::cached_prefix_tokens(view, seq), most));
  }

  sl::ReadyQueue<sl::ArrivalKey> ready_;
  probe::Text create_, plan_, note_;
  uint64_t plans_ = 0, notes_ = 0;
};

}  // namespace

SERVELOOP_SCHEDULER(ProbeScheduler, "probe-scheduler", "0.1.0");
