// Valid plans of all verbs, drawn from a seed: law 1 and the audit must hold whatever a scheduler wants.
#include <algorithm>
#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>
#include <vector>

namespace {

class Chaos {
 public:
  explicit Chaos(const sl::Setup& setup)
      : state_(static_cast<uint64_t>(setup.integer("seed")) * 2 + 1),
        blocks_(setup->blocks[0]),
        ready_(setup->sequence_slots) {}

  void note(const sl::View& view) {
    ready_.hear(view, sl::ArrivalKey::of);
    for (const sl_event& event : view.events()) {
      if (event.kind == SL_EV_PARKED) parked_.push_back(event.subject);
      if (const sl_seq_row* seq = view.find(event.subject); seq != nullptr && seq->state == SL_SWAPPED)
        swapped_.push_back(event.subject);
    }
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    uint32_t budget = view->token_budget;
    for (const sl_seq id : drawn_order(view)) {
      const sl_seq_row& seq = *view.find(id);
      if (seq.state == SL_RUNNING)
        running(view, seq, plan, budget);
      else
        waiting(view, seq, plan, budget);
    }
    bring_back_some(view, plan);
    release_some(view, plan);
  }

 private:
  static constexpr uint16_t kDrawn = SL_REASON_PLUGIN + 0;  // index in plugin.toml's reasons

  uint64_t draw(uint64_t n) {  // xorshift64 (Marsaglia, 2003)
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_ % n;
  }

  // Running and ready ones, shuffled or not.
  std::vector<sl_seq> drawn_order(const sl::View& view) {
    std::vector<sl_seq> ids;
    for (const uint32_t slot : view.running()) ids.push_back(view.seqs()[slot].id);
    for (const auto& next : ready_) {
      ids.push_back(next.second);
      if (ids.size() > view->running_count + 8u) break;
    }
    if (draw(3) == 0)
      for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[draw(i)]);
    return ids;
  }

  void running(const sl::View& view, const sl_seq_row& seq, sl::Plan& plan, uint32_t& budget) {
    const uint64_t what = draw(24);
    if (what == 0) return;
    if (what == 1) return plan.preempt(seq.id, kDrawn, draw(3), static_cast<uint32_t>(draw(6)));
    if (what == 2) return plan.reserve(seq.id, more_than(seq), kDrawn);
    const uint32_t most = std::min(seq.runnable, budget);
    if (most == 0) return;
    const uint32_t tokens = draw(3) == 0 ? 1 + static_cast<uint32_t>(draw(most)) : most;
    plan.add({seq.id, SL_RUN, kDrawn, tokens, 0, what == 3 ? more_than(seq) : 0, 0});
    budget -= tokens;
    (void)view;
  }

  void waiting(const sl::View& view, const sl_seq_row& seq, sl::Plan& plan, uint32_t& budget) {
    const uint64_t what = draw(16);
    if (what == 0) return;
    if (what == 1) return plan.park(seq.id, view->now_ns + draw(8000000), kDrawn);
    if (what == 2) return plan.park(seq.id, SL_NEVER, kDrawn);
    if (what == 3) return plan.reserve(seq.id, more_than(seq), kDrawn);
    if (what == 4) return plan.prefetch(seq.id, static_cast<uint32_t>(draw(4)), kDrawn);
    if (what == 7 && view->tier[SL_TIER_HOST].total == 0) return plan.swap_in(seq.id, kDrawn);
    if (what == 5 && seq.blocks_device > 0)
      return plan.preempt(seq.id, kDrawn, draw(3), static_cast<uint32_t>(draw(4)));
    const uint32_t most = std::min(seq.runnable, budget);
    if (most == 0) return;
    const uint32_t tokens = 1 + static_cast<uint32_t>(draw(most));
    plan.admit(seq.id, tokens, kDrawn, what == 6 ? more_than(seq) : 0);
    budget -= tokens;
  }

  void bring_back_some(const sl::View& view, sl::Plan& plan) {
    std::vector<sl_seq> kept;
    std::sort(swapped_.begin(), swapped_.end());
    swapped_.erase(std::unique(swapped_.begin(), swapped_.end()), swapped_.end());
    for (const sl_seq id : swapped_) {
      const sl_seq_row* seq = view.find(id);
      if (seq == nullptr || seq->state != SL_SWAPPED) continue;
      kept.push_back(id);
      if (seq->not_ready != 0) continue;
      const uint64_t what = draw(4);
      if (what == 0) plan.park(id, view->now_ns + draw(8000000), kDrawn);
      if (what == 1 || what == 2) plan.swap_in(id, kDrawn);
    }
    swapped_.swap(kept);
  }

  void release_some(const sl::View& view, sl::Plan& plan) {
    std::vector<sl_seq> kept;
    std::sort(parked_.begin(), parked_.end());
    parked_.erase(std::unique(parked_.begin(), parked_.end()), parked_.end());
    for (const sl_seq id : parked_) {
      const sl_seq_row* seq = view.find(id);
      if (seq == nullptr || seq->state == SL_ENDED || (seq->not_ready & SL_NOT_READY_PARKED) == 0) continue;
      if (draw(4) == 0)
        plan.release(id, kDrawn);
      else
        kept.push_back(id);
    }
    parked_.swap(kept);
  }

  uint32_t more_than(const sl_seq_row& seq) {
    return std::min(blocks_, seq.blocks_device + static_cast<uint32_t>(draw(4)));
  }

  uint64_t state_;
  uint32_t blocks_;
  sl::ReadyQueue<sl::ArrivalKey> ready_;
  std::vector<sl_seq> parked_, swapped_;
};

}  // namespace

SERVELOOP_SCHEDULER(Chaos, "chaos", "0.1.0");
