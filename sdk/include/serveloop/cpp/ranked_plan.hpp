// A plan in one order of all sequences, running or waiting: for policies that give each a rank.
//
// Walking that order, each gets what it can run while the step's tokens last. Where all sequence slots are taken, a waiting
// one takes that of the lowest running one, if the policy says that it may; that one is preempted. As the plan is written in
// rank order, memory too is taken from the lowest first.
//
//   void note(const sl::View& view) { ranked_.hear(view, rank_of); }
//   void plan(const sl::View& view, sl::Plan& plan) {
//     note(view);
//     ranked_.refresh(view, rank_of);   // where ranks move while a sequence runs
//     ranked_.write(view, plan, [&](const Rank& waiting, const Rank& running) { return waiting < running; });
//   }
//
// Invariant at write(): the running sequences stand sorted by rank. They are kept so by events, so a step costs one walk over
// them, and one look at each waiting one that is admitted, and at the first that is not.
#pragma once

#include <algorithm>
#include <iterator>
#include <serveloop/cpp/bring_in.hpp>
#include <vector>

namespace sl {

struct RankedRules {
  uint16_t reason = SL_REASON_NONE;  // of a preemption for a slot
  // Every running decode has its token before others' chunks share the rest. Else all tokens go by rank, and who ranks low
  // may stall amid its answer.
  bool decodes_always = false;
  // A waiting one enters only where its prompt fits beside what the running ones still have to fill. Else who ranks high takes the
  // memory of who ranks low, all of whose prompt is computed again.
  bool room_first = false;
  // Who is preempted for a slot moves to host memory where that is cheaper than to compute again.
  bool swaps_out = false;
};

template <class Key>
class RankedPlan {
 public:
  RankedPlan(const Setup& setup, const RankedRules& rules)
      : rules_(rules), ready_(setup->sequence_slots), bring_in_(setup) {
    for (std::vector<Ranked>* list : {&running_, &joined_, &merged_}) list->reserve(2 * setup->max_sequences);
  }

  // Takes in a call's events. `rank_of(view, row)` gives a Key; smallest runs first.
  template <class RankOf>
  void hear(const View& view, RankOf&& rank_of) {
    ready_.hear(view, rank_of);
    bring_in_.hear(view, rank_of);
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_ADMITTED:
          if (runs(view, event.subject))
            joined_.emplace_back(rank_of(view, *view.find(event.subject)), event.subject);
          [[fallthrough]];
        case SL_EV_PREEMPTED:
        case SL_EV_PAUSED:
        case SL_EV_ENDED: changed_ = true; break;
        default: break;
      }
    }
    if (changed_ || running_.size() != view->running_count) settle(view, rank_of);
  }

  // For ranks that move: asks for those of the running ones anew. O(running), where few change places.
  template <class RankOf>
  void refresh(const View& view, RankOf&& rank_of) {
    joined_.clear();
    merged_.clear();
    for (const Ranked& old : running_) {
      const Ranked now(rank_of(view, view.seqs()[SL_SEQ_SLOT(old.second)]), old.second);
      if (!merged_.empty() &&
          now < merged_.back()) {  // one of the two is out of place: more likely the one before
        joined_.push_back(merged_.back());
        merged_.pop_back();
        if (!merged_.empty() && now < merged_.back()) {
          joined_.push_back(now);
          continue;
        }
      }
      merged_.push_back(now);
    }
    running_.swap(merged_);
    merge_joined();
  }
  // Gives a waiting or swapped one another rank.
  void rank(sl_seq seq, const Key& key) {
    ready_.rank(seq, key);
    bring_in_.rank(seq, key);
  }
  const ReadyQueue<Key>& waiting() const { return ready_; }

  // Entries in rank order. `takes_slot(waiting, running)`: may the one with that rank take the slot of the other? It must
  // not hold of a pair both ways. If it does not hold for the first of those that wait, none of them is asked about.
  template <class TakesSlot>
  void write(const View& view, Plan& plan, TakesSlot&& takes_slot) {
    write(view, plan, ready_.begin(), ready_.end(), takes_slot);
  }
  // Likewise with an order of the waiting ones that was made for this step: pairs of rank and sequence.
  template <class Iterator, class TakesSlot>
  void write(const View& view, Plan& plan, Iterator next, Iterator end, TakesSlot&& takes_slot) {
    Walk walk = start(view);
    bring_in_.start(view);
    const auto slot_for = [&](const Key& rank) {
      return walk.slots > 0 || (walk.at < walk.end && takes_slot(rank, running_[walk.end - 1].first));
    };
    while (walk.tokens > 0) {
      const Key* running = walk.at == walk.end ? nullptr : &running_[walk.at].first;
      if (bring_in_.coming_first(view, plan, next, end, running, slot_for)) {
        walk.slots -= std::min(walk.slots, 1u);
        continue;
      }
      const bool waits = next != end && (running == nullptr || next->first < *running);
      if (waits &&
          (walk.tokens == walk.decodes || !slot_for(next->first) || !room_for(view, walk, next->second))) {
        bring_in_.ahead(view, plan, next, end);
        next = end;
      } else if (waits) {
        admit(view, plan, walk, (next++)->second);
      } else if (running != nullptr) {
        run(view, plan, walk);
      } else {
        break;
      }
    }
    bring_in_.ahead(view, plan, next, end);
    preempted_ = static_cast<uint32_t>(running_.size() - walk.end);
  }
  uint32_t preempted() const { return preempted_; }  // by the last plan, for a slot

 private:
  using Ranked = std::pair<Key, sl_seq>;
  struct Walk {
    uint32_t tokens,
        decodes;          // left of the step's; of these, kept for running decodes whose turn is yet to come
    uint32_t slots;       // free
    int64_t room;         // blocks, under room_first
    std::size_t at, end;  // of running_: who is next; who behind has been preempted
    bool alone;           // nobody runs, nor was anybody admitted
  };

  static bool runs(const View& view, sl_seq id) {
    const sl_seq_row* seq = view.find(id);
    return seq != nullptr && seq->state == SL_RUNNING;
  }

  Walk start(const View& view) const {
    Walk walk{view->token_budget, 0, view->max_sequences - std::min(view->max_sequences, view->running_count),
              room(view),         0, running_.size(),
              running_.empty()};
    if (rules_.decodes_always)
      for (const Ranked& running : running_) walk.decodes += decodes(view, running.second) ? 1 : 0;
    walk.decodes = std::min(walk.decodes, walk.tokens);
    return walk;
  }
  // Blocks that are free or only cached, less what the running ones lack of their prompts, and one for each to grow.
  int64_t room(const View& view) const {
    if (!rules_.room_first) return 0;
    const sl_tier& device = view->tier[SL_TIER_DEVICE];
    int64_t blocks = int64_t{device.free} + device.evictable;
    for (const Ranked& running : running_)
      blocks -= 1 + view.seqs()[SL_SEQ_SLOT(running.second)].runnable / view->block_tokens;
    return blocks;
  }
  static int64_t blocks_of(const View& view, sl_seq id) {
    return 1 + uncached_tokens(view, view.seqs()[SL_SEQ_SLOT(id)]) / view->block_tokens;
  }
  bool room_for(const View& view, const Walk& walk, sl_seq id) const {
    return !rules_.room_first || walk.alone || blocks_of(view, id) <= walk.room;
  }
  bool decodes(const View& view, sl_seq id) const {
    return rules_.decodes_always && view.seqs()[SL_SEQ_SLOT(id)].runnable == 1;
  }

  void run(const View& view, Plan& plan, Walk& walk) {
    const sl_seq id = running_[walk.at++].second;
    if (decodes(view, id)) walk.decodes -= std::min(walk.decodes, 1u);
    const uint32_t tokens = std::min(view.seqs()[SL_SEQ_SLOT(id)].runnable, walk.tokens - walk.decodes);
    if (tokens == 0) return;  // all that it could run is in flight, or the rest is the decodes'
    walk.tokens -= tokens;
    plan.run(id, tokens);
  }

  // Whose blocks are in host memory, or on their way, has its turn likewise; it takes its slot once they are there.
  void admit(const View& view, Plan& plan, Walk& walk, sl_seq id) {
    const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(id)];
    if (bring_in_.instead(view, plan, seq)) {
      walk.slots -= std::min(walk.slots, 1u);
      return;
    }
    if (uncached_tokens(view, seq) == 0) return;  // all that it could run is in flight
    if (walk.slots > 0)
      --walk.slots;
    else
      preempt(view, plan, walk);
    const uint32_t tokens = std::min(uncached_tokens(view, seq), walk.tokens - walk.decodes);
    walk.tokens -= tokens;
    walk.room -= blocks_of(view, id);
    walk.alone = false;
    plan.admit(id, tokens);
  }
  void preempt(const View& view, Plan& plan, Walk& walk) {
    const sl_seq id = running_[--walk.end].second;
    if (decodes(view, id)) walk.decodes -= std::min(walk.decodes, 1u);
    plan.preempt(id, rules_.reason, yield_mode(view, view.seqs()[SL_SEQ_SLOT(id)]));
  }
  uint64_t yield_mode(const View& view, const sl_seq_row& seq) const {
    if (!rules_.swaps_out || view->tier[SL_TIER_HOST].total == 0) return SL_YIELD_RECOMPUTE;
    const double copied = sl_predict_swap_ns(view->cost, seq.blocks_device);
    return copied < sl_predict_prefill_ns(view->cost, 0, seq.computed) ? SL_YIELD_SWAP : SL_YIELD_RECOMPUTE;
  }

  // Drops from running_ what runs no more and merges what joined.
  template <class RankOf>
  void settle(const View& view, RankOf&& rank_of) {
    std::erase_if(running_, [&](const Ranked& r) { return !runs(view, r.second); });
    std::erase_if(joined_, [&](const Ranked& r) { return !runs(view, r.second); });
    merge_joined();
    changed_ = false;
    if (running_.size() == view->running_count) return;
    running_.clear();  // from the table alone, should events and table ever disagree
    for (const uint32_t slot : view.running()) {
      const sl_seq_row& seq = view.seqs()[slot];
      running_.emplace_back(rank_of(view, seq), seq.id);
    }
    std::sort(running_.begin(), running_.end());
  }
  // One told twice (preempted and admitted again between two calls) is kept once.
  void merge_joined() {
    if (joined_.empty()) return;
    std::sort(joined_.begin(), joined_.end());
    merged_.clear();
    std::merge(running_.begin(), running_.end(), joined_.begin(), joined_.end(), std::back_inserter(merged_));
    merged_.erase(std::unique(merged_.begin(), merged_.end()), merged_.end());
    running_.swap(merged_);
    joined_.clear();
  }

  RankedRules rules_;
  ReadyQueue<Key> ready_;
  BringIn<Key> bring_in_;
  std::vector<Ranked> running_, joined_, merged_;
  bool changed_ = false;
  uint32_t preempted_ = 0;
};

}  // namespace sl
