// Admission for policies whose order of the waiting ones is another at each step. Such a policy keeps those that never ran
// by itself, and lists for a step the few that may be admitted in it. Before all others go, in the order of arrival, those
// that ran before, and then those that have waited too long.
//
//   void note(const sl::View& view) {
//     turns_.hear(view, [&](const sl_seq_row& seq) { /* waits */ }, [&](sl_seq id) { /* waits no more */ });
//   }
//   void plan(const sl::View& view, sl::Plan& plan) {
//     note(view);
//     turns_.start(view, sl::run_in_order(view, plan, view->token_budget));
//     while (turns_.more() && /* there is a next one */) turns_.add(view, /* its row */);
//     turns_.admit(view, plan);
//   }
//
// The bound on the wait for the first admission, `max_wait_ns` (0: none): who is overdue (patience.hpp) goes before all that the policy
// lists.
//
// Cost: O(log waiting) an event that concerns it; a step, O(log) for each that it lists, at most as many as slots are free and
// BringIn's few behind them.
#pragma once

#include <serveloop/cpp/admit.hpp>
#include <serveloop/cpp/patience.hpp>
#include <serveloop/cpp/state.hpp>

namespace sl {

// Smallest first.
struct Turn {
  uint32_t place;  // kRanBefore, kOverdue, or from kListed on by the step's list
  ArrivalKey arrival;
  auto operator<=>(const Turn&) const = default;
  static constexpr uint32_t kRanBefore = 0, kOverdue = 1, kListed = 2;
};

class Turns {
 public:
  explicit Turns(const Setup& setup, uint64_t max_wait_ns = 0)
      : patience_(setup, max_wait_ns), first_(setup->sequence_slots), bring_in_(setup) {
    list_.reserve(setup->max_sequences + bring_in_.looks_ahead());
  }

  // Takes in a call's events. `join(row)` and `leave(id)` are told of those that the policy keeps; each may come twice of one.
  template <class Join, class Leave>
  void hear(const View& view, Join&& join, Leave&& leave) {
    const auto leaves = [&](sl_seq seq) {
      first_.erase(seq);
      patience_.erase(seq);
      leave(seq);
    };
    hear_ready(
        view,
        [&](const sl_seq_row& seq) {
          if (ran(view, seq))
            leaves(seq.id);  // also one that yielded blocks while it waited for its first turn
          joins(view, seq, join);
        },
        leaves);
    bring_in_.hear(view, ran_before);
    patience_.take(view, [&](const sl_seq_row& seq) {
      leave(seq.id);
      first_.insert({Turn::kOverdue, ArrivalKey::of(view, seq)}, seq.id);
    });
  }

  // Begins a step's list: `budget` tokens are left, of which one may prefill `most_tokens`.
  void start(const View& view, uint32_t budget, uint32_t most_tokens = UINT32_MAX) {
    list_.clear();
    slots_ = view->max_sequences - std::min(view->max_sequences, view->running_count);
    budget_ = left_ = budget;
    most_tokens_ = most_tokens;
    ahead_ = bring_in_.looks_ahead();
    for (const auto& [turn, id] : first_) {
      if (!more()) return;
      put(view, turn, view.seqs()[SL_SEQ_SLOT(id)]);
    }
  }
  // May another one be admitted, or at least be looked at?
  bool more() const { return admits() || ahead_ > 0; }
  bool admits() const { return slots_ > 0 && left_ > 0; }
  // The next in the policy's order. Requires more().
  void add(const View& view, const sl_seq_row& seq) {
    put(view, {Turn::kListed + static_cast<uint32_t>(list_.size()), {}}, seq);
  }
  void admit(const View& view, Plan& plan) {
    admit_in_order(view, plan, list_, bring_in_, budget_, most_tokens_);
  }
  // Of those that wait, those that go before all that the policy keeps.
  std::size_t first() const { return first_.size(); }

  // ---- Saved state: who waits. Their order follows from their rows, and is the policy's to find anew, by restore() at the
  // successor's next call.
  template <class Ids>
  void save(StateWriter& out, const Ids& kept) const {
    out.put(uint64_t{kept.size()} + first_.size() + bring_in_.coming().size());
    for (const sl_seq id : kept) out.put(id);
    for (const auto& [turn, id] : first_) out.put(id);
    for (const auto& [turn, id] : bring_in_.coming()) out.put(id);
  }
  void load(StateReader& in) {
    std::vector<sl_seq> loaded;
    for (uint64_t left = in.get<uint64_t>(); left > 0; --left) loaded.push_back(in.get<sl_seq>());
    loaded_.swap(loaded);
  }
  // Before hear(): of those loaded, the ones that still wait.
  template <class Join>
  void restore(const View& view, Join&& join) {
    for (const sl_seq id : loaded_) {
      const sl_seq_row* seq = view.find(id);
      if (seq != nullptr && ready_to_admit(*seq)) joins(view, *seq, join);
      bring_in_.look_at(view, id, ran_before);
    }
    loaded_.clear();
  }

 private:
  static bool ran(const View& view, const sl_seq_row& seq) {
    return seq.preemptions > 0 || view.cold(seq).admitted_ns != 0;
  }
  static Turn ran_before(const View& view, const sl_seq_row& seq) {
    return {Turn::kRanBefore, ArrivalKey::of(view, seq)};
  }
  template <class Join>
  void joins(const View& view, const sl_seq_row& seq, Join&& join) {
    if (ran(view, seq)) return first_.insert(ran_before(view, seq), seq.id);
    if (first_.contains(seq.id)) return;  // it is overdue
    patience_.add(view, seq);
    join(seq);
  }
  void put(const View& view, const Turn& turn, const sl_seq_row& seq) {
    if (admits()) {
      const uint32_t tokens = std::min({uncached_tokens(view, seq), most_tokens_, left_});
      if (tokens == 0) return;  // all that it could run is in flight
      left_ -= tokens;
      --slots_;
    } else {
      --ahead_;
    }
    list_.emplace_back(turn, seq.id);
  }

  Patience patience_;  // of those that the policy keeps
  SeqSet<Turn> first_;
  BringIn<Turn> bring_in_;
  std::vector<std::pair<Turn, sl_seq>> list_;
  std::vector<sl_seq> loaded_;
  uint32_t slots_ = 0, budget_ = 0, left_ = 0, most_tokens_ = UINT32_MAX, ahead_ = 0;
};

}  // namespace sl
