// Who yields, in which order, and who is left alone for a while: the common half of preemption policies.
//
// Hysteresis. A sequence that yielded and runs again is spared until it has run for `hysteresis_steps` steps or has
// gained `hysteresis_tokens` tokens since it came back, whichever is first. So no two take memory from each other in
// turns, each computing for the other's sake what it loses again. Spared ones yield only where all others do not
// cover the need. One that does not run (it kept its first blocks, is reserved or paused) is never spared: it loses
// no turn by giving more.
#pragma once

#include <algorithm>
#include <serveloop/cpp/preemption.hpp>
#include <span>
#include <vector>

namespace sl {

// Its manifest declares the integer options `hysteresis_steps` and `hysteresis_tokens`; 0 of either: none is spared.
class Hysteresis {
 public:
  explicit Hysteresis(const Setup& setup)
      : steps_(static_cast<uint64_t>(setup.integer("hysteresis_steps"))),
        tokens_(static_cast<uint64_t>(setup.integer("hysteresis_tokens"))),
        back_(setup->sequence_slots) {}

  // Each step, from the policy's note(). O(events).
  void hear(const View& view) {
    for (const sl_event& event : view.events()) {
      if (event.kind != SL_EV_ADMITTED && event.kind != SL_EV_PREEMPTED) continue;
      const sl_seq_row* seq = view.find(event.subject);
      if (seq == nullptr) continue;
      Back& back = back_[SL_SEQ_SLOT(seq->id)];
      back = {};
      if (event.kind == SL_EV_ADMITTED) back = {seq->id, view->step, seq->generated};
    }
  }

  bool spares(const View& view, const sl_seq_row& seq) const {
    if (seq.preemptions == 0 || seq.state != SL_RUNNING) return false;
    const Back& back = back_[SL_SEQ_SLOT(seq.id)];
    if (back.seq != seq.id) return false;
    const uint64_t ran = view->step - back.step + 1;  // an admission is told in the step after it
    return ran < steps_ && seq.generated - back.generated < tokens_;
  }

 private:
  struct Back {
    sl_seq seq = SL_NO_SEQ;
    uint64_t step = 0;
    uint32_t generated = 0;
  };
  uint64_t steps_, tokens_;
  std::vector<Back> back_;  // by slot: when it last came back, and what it had then
};

// One candidate in its turn.
struct Turn {
  const sl_candidate* who;
  const sl_seq_row* seq;
  double key;  // smallest first
  bool spared;
};

class YieldOrder {
 public:
  explicit YieldOrder(const Setup& setup) : hysteresis_(setup) {}
  void hear(const View& view) { hysteresis_.hear(view); }

  // The candidates by `key(candidate, row)`, smallest first; ties, the last in plan rank first. Those not in the plan
  // stand behind all ranks. Spared ones come after all others. Valid until the next call. O(n log n).
  template <class Key>
  std::span<const Turn> sort(const PreemptIn& in, Key&& key) {
    turns_.clear();
    spared_ = 0;
    const View view = in.view();
    const auto candidates = in.candidates();
    for (std::size_t i = candidates.size(); i-- > 0;) {
      const sl_candidate& who = candidates[i];
      const sl_seq_row* seq = view.find(who.seq);
      if (seq == nullptr) continue;
      turns_.push_back({&who, seq, static_cast<double>(key(who, *seq)), hysteresis_.spares(view, *seq)});
      spared_ += turns_.back().spared ? 1 : 0;
    }
    std::stable_sort(turns_.begin(), turns_.end(), [](const Turn& a, const Turn& b) {
      return a.spared != b.spared ? b.spared : a.key < b.key;
    });
    return turns_;
  }
  uint32_t spared() const { return spared_; }  // of the last sort's

 private:
  Hysteresis hysteresis_;
  std::vector<Turn> turns_;
  uint32_t spared_ = 0;
};

// Calls `yield(turn, blocks left to free)`, which names it and returns the device blocks that this frees, until `need`
// is covered. One that frees nothing by itself ends the answer: others may free more once it has yielded, and the
// policy is asked again.
template <class Yield>
void until_covered(std::span<const Turn> turns, uint32_t need, Yield&& yield) {
  for (const Turn& turn : turns) {
    const uint32_t freed = yield(turn, need);
    if (freed == 0 || freed >= need) return;
    need -= freed;
  }
}

}  // namespace sl
