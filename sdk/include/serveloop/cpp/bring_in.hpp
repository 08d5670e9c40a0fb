// Movement from the host tier towards running, for any scheduler with an order of its own: swapped sequences come back
// (SL_SWAP_IN), and the host-cached prefixes of waiting ones come to the device before their turn (SL_PREFETCH).
//
// A policy calls hear() where its ready queue hears. A plan walks the ready ones in order: start() before it; at each
// step coming_first(), then instead() of the one in turn; ahead() with what is left. Where coming_first() or instead() is
// true somebody takes a turn and will want a slot. admit_in_order() in admit.hpp is such a walk.
//
// Without a host tier it does nothing. Cost: O(log of those that come) an event of theirs, and for each one that a plan
// looks at, a walk up the nodes of its path that have nothing on the device.
#pragma once

#include <serveloop/cpp/queue.hpp>
#include <serveloop/cpp/scheduler.hpp>

namespace sl {

// Of a sequence's prefix: the whole blocks on the device, and those behind them in host memory.
struct CachedPrefix {
  uint32_t device_blocks, host_blocks;
};

inline CachedPrefix cached_prefix(const View& view, const sl_seq_row& seq) {
  const auto nodes = view.nodes();
  CachedPrefix cached{0, 0};
  uint32_t node = seq.node;
  for (; node != SL_NONE; node = nodes[node].parent) {
    cached.host_blocks += nodes[node].host_blocks;
    if (nodes[node].device_blocks > 0) break;
  }
  if (node != SL_NONE) cached.device_blocks = nodes[node].depth_blocks + nodes[node].device_blocks;
  const uint32_t known = seq.computed + seq.in_flight_max + seq.runnable;
  const uint32_t most = known == 0 ? 0 : (known - 1) / view->block_tokens;  // something is left to run
  cached.host_blocks = std::min(cached.host_blocks, most - std::min(most, cached.device_blocks));
  return cached;
}

template <class Key>
class BringIn {
 public:
  explicit BringIn(const Setup& setup)
      : on_(setup->blocks[SL_TIER_HOST] > 0),
        coming_(on_ ? setup->sequence_slots : 0),
        asked_(on_ ? setup->sequence_slots : 0, SL_NO_SEQ),
        next_(coming_.end()) {}

  template <class KeyOf>
  void hear(const View& view, KeyOf&& key_of) {
    if (!on_) return;
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_PREEMPTED: asked_[SL_SEQ_SLOT(event.subject)] = SL_NO_SEQ; [[fallthrough]];
        case SL_EV_ARRIVED:  // handed over as swapped, or on its way
        case SL_EV_RESUMED:
        case SL_EV_IN_TRANSIT:
        case SL_EV_TRANSFERRED: look_at(view, event.subject, key_of); break;
        case SL_EV_ENDED: coming_.erase(event.subject); break;
        default: break;
      }
    }
  }
  // As its row has it now.
  template <class KeyOf>
  void look_at(const View& view, sl_seq id, KeyOf&& key_of) {
    if (!on_) return;
    const sl_seq_row* seq = view.find(id);
    if (seq != nullptr && (seq->state == SL_SWAPPED || arrives(*seq)))
      coming_.insert(key_of(view, *seq), id);
    else
      coming_.erase(id);
  }
  const SeqSet<Key>& coming() const { return coming_; }
  // Of an order that a policy makes for one step: how many of those behind the last that is admitted are looked at.
  uint32_t looks_ahead() const { return on_ ? kAhead : 0; }

  // Another place for one that is to come; else it does nothing.
  void rank(sl_seq seq, const Key& key) {
    if (on_ && coming_.contains(seq)) coming_.insert(key, seq);
  }

  void start(const View& view) {
    if (!on_) return;
    room_ = view->tier[SL_TIER_DEVICE].free + view->tier[SL_TIER_DEVICE].evictable;
    prefetch_room_ = room_ / 2;  // it may hold back no more of it from those that run
    next_ = coming_.begin();
    skip(view);
  }

  // True where a swapped sequence precedes the ready one at `next`, and `other` (the first of one more queue, of those that run;
  // null if it is empty): it is asked to come back, once its copies out have ended. True likewise of one whose blocks are
  // arriving: nobody behind it may have its turn. Where there is no room for the swapped one, `next` becomes `end`, as nobody
  // behind it may take what comes free; it is named all the same if somebody runs behind it, who then yields to it, or if
  // nothing else would run, so that who waits and holds blocks yields them. Where there is no `slot(key)` for it, nobody comes.
  template <class Iterator, class Slot>
  bool coming_first(const View& view, Plan& plan, Iterator& next, Iterator end, const Key* other,
                    Slot&& slot) {
    if (!on_ || next_ == coming_.end()) return false;
    if ((next != end && !(next_->first < next->first)) || (other != nullptr && !(next_->first < *other)))
      return false;
    if (!slot(next_->first)) {
      next_ = coming_.end();
      return false;
    }
    const sl_seq_row& seq = *view.find(next_->second);
    ++next_;
    skip(view);
    if (arrives(seq)) return true;
    const bool left = seq.not_ready == 0, fits = seq.blocks_host <= room_;
    const bool others_yield = other != nullptr || (view->running_count == 0 && plan.size() == 0);
    if (left && (fits || others_yield)) plan.swap_in(seq.id);
    room_ -= std::min(room_, seq.blocks_host);
    if (!fits) next_ = coming_.end(), next = end;
    return true;
  }

  // True where a ready sequence is not to be admitted: its blocks are arriving, or it is now asked that they come, which
  // costs less than to compute them.
  bool instead(const View& view, Plan& plan, const sl_seq_row& seq) {
    return on_ && (!ready_to_admit(seq) || prefetch(view, plan, seq, true));
  }

  // For those next in turn, who have to wait anyway.
  template <class Iterator>
  void ahead(const View& view, Plan& plan, Iterator next, Iterator end) {
    if (!on_) return;
    for (uint32_t looked = 0; looked < kAhead && next != end; ++looked, ++next) {
      const sl_seq_row& seq = view.seqs()[SL_SEQ_SLOT(next->second)];
      if (ready_to_admit(seq)) prefetch(view, plan, seq, false);
    }
  }

 private:
  static constexpr uint32_t kAhead = 4;  // of those next in turn, how many are looked at

  static bool arrives(const sl_seq_row& seq) {
    return seq.state == SL_RESERVED && (seq.not_ready & SL_NOT_READY_TRANSFER) != 0;
  }

  // On to the next that can come, or will be able to once its copies have ended.
  void skip(const View& view) {
    while (next_ != coming_.end()) {
      const sl_seq_row* seq = view.find(next_->second);
      const bool comes = seq != nullptr && (seq->state == SL_SWAPPED || arrives(*seq));
      if (comes && (seq->not_ready & ~SL_NOT_READY_TRANSFER) == 0) return;
      const sl_seq gone = next_->second;
      ++next_;
      if (!comes) coming_.erase(gone);
    }
  }

  // Asked once for each time that it waits: where it fell, the sequence computes its prefix.
  bool prefetch(const View& view, Plan& plan, const sl_seq_row& seq, bool could_run) {
    sl_seq& asked = asked_[SL_SEQ_SLOT(seq.id)];
    if (asked == seq.id || seq.runnable == 0) return false;
    const CachedPrefix cached = cached_prefix(view, seq);
    if (cached.host_blocks == 0 || cached.host_blocks > prefetch_room_) return false;
    if (could_run && !copying_is_cheaper(view, cached)) return false;
    asked = seq.id;
    prefetch_room_ -= cached.host_blocks;
    room_ -= std::min(room_, cached.host_blocks);
    plan.prefetch(seq.id, cached.device_blocks + cached.host_blocks);
    return true;
  }
  static bool copying_is_cheaper(const View& view, const CachedPrefix& cached) {
    const sl_cost& cost = *view->cost;
    const uint32_t tokens = cached.host_blocks * view->block_tokens;
    const uint32_t start = cached.device_blocks * view->block_tokens;
    const double copy_ns = cost.swap_fixed_ns + cost.swap_block_ns * cached.host_blocks;
    return copy_ns < sl_predict_prefill_ns(&cost, start, tokens) - cost.step_fixed_ns;
  }

  bool on_;
  SeqSet<Key> coming_;         // swapped ones, and those whose blocks are arriving
  std::vector<sl_seq> asked_;  // by slot: for whom a prefetch was asked since it waits
  typename SeqSet<Key>::Set::const_iterator next_;
  uint32_t room_ = 0, prefetch_room_ = 0;  // device blocks of this plan's start that are still nobody's
};

}  // namespace sl
