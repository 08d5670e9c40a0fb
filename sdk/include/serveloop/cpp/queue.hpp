// Sequences that may be admitted, in a policy's own order, kept current by events: the ordering half of most
// schedulers.
#pragma once

#include <compare>
#include <optional>
#include <serveloop/cpp/view.hpp>
#include <set>
#include <utility>
#include <vector>

namespace sl {

// Arrival order: the key of first come, first served; also the usual tie-break.
struct ArrivalKey {
  uint64_t arrival_ns, request;
  uint32_t fork;
  auto operator<=>(const ArrivalKey&) const = default;
  static ArrivalKey of(const View& view, const sl_seq_row& seq) {
    const sl_request_row& r = view.request(seq);
    return {r.arrival_ns, r.request, seq.fork};
  }
};

// Sequences in the order of a key, smallest first; one a slot. O(log size).
template <class Key>
class SeqSet {
 public:
  explicit SeqSet(uint32_t sequence_slots) : by_slot_(sequence_slots) {}
  using Set = std::set<std::pair<Key, sl_seq>>;
  typename Set::const_iterator begin() const { return set_.begin(); }
  typename Set::const_iterator end() const { return set_.end(); }
  typename Set::const_iterator lower_bound(const Key& key) const { return set_.lower_bound({key, 0}); }
  bool empty() const { return set_.empty(); }
  std::size_t size() const { return set_.size(); }

  void insert(const Key& key, sl_seq seq) {
    erase(seq);
    std::optional<std::pair<Key, sl_seq>>& entry = by_slot_[SL_SEQ_SLOT(seq)];
    entry.emplace(key, seq);
    set_.insert(*entry);
  }
  bool contains(sl_seq seq) const {
    const auto& entry = by_slot_[SL_SEQ_SLOT(seq)];
    return entry && entry->second == seq;
  }
  // Does nothing where a later sequence has the slot by now.
  void erase(sl_seq seq) {
    auto& entry = by_slot_[SL_SEQ_SLOT(seq)];
    if (!entry || SL_SEQ_GENERATION(entry->second) > SL_SEQ_GENERATION(seq)) return;
    set_.erase(*entry);
    entry.reset();
  }

 private:
  Set set_;
  std::vector<std::optional<std::pair<Key, sl_seq>>> by_slot_;
};

// Calls `join(row)` for each sequence that a call's events make ready to be admitted, `leave(id)` for each that is so no more.
// Either may come twice of one. One whose blocks are on their way between the tiers is not ready.
template <class Join, class Leave>
void hear_ready(const View& view, Join&& join, Leave&& leave) {
  for (const sl_event& event : view.events()) {
    switch (event.kind) {
      case SL_EV_READY:
      case SL_EV_PREEMPTED:
      case SL_EV_TRANSFERRED:
      case SL_EV_RESUMED: {
        const sl_seq_row* seq = view.find(event.subject);
        if (seq == nullptr) break;
        if (ready_to_admit(*seq))
          join(*seq);
        else
          leave(event.subject);  // it was ready, and its blocks are on their way, or it yielded them
        break;
      }
      case SL_EV_ADMITTED:
      case SL_EV_PARKED:
      case SL_EV_PAUSED:
      case SL_EV_IN_TRANSIT:
      case SL_EV_ENDED: leave(event.subject); break;
      default: break;
    }
  }
}

// Cost: O(log waiting) per event that concerns it, nothing per step. Smallest key first. One whose blocks are on their
// way between the tiers does not stand in it.
template <class Key>
class ReadyQueue {
 public:
  explicit ReadyQueue(uint32_t sequence_slots) : ready_(sequence_slots) {}

  // Takes in a call's events. `key_of(view, row)` is asked when a sequence becomes ready.
  template <class KeyOf>
  void hear(const View& view, KeyOf&& key_of) {
    hear_ready(
        view, [&](const sl_seq_row& seq) { ready_.insert(key_of(view, seq), seq.id); },
        [&](sl_seq seq) { ready_.erase(seq); });
  }

  // Another place for one that stands in it; else it does nothing.
  void rank(sl_seq seq, const Key& key) {
    if (ready_.contains(seq)) ready_.insert(key, seq);
  }

  using Iterator = typename SeqSet<Key>::Set::const_iterator;  // over pairs of key and sequence
  Iterator begin() const { return ready_.begin(); }
  Iterator end() const { return ready_.end(); }
  Iterator lower_bound(const Key& key) const { return ready_.lower_bound(key); }
  bool empty() const { return ready_.empty(); }
  std::size_t size() const { return ready_.size(); }

 private:
  SeqSet<Key> ready_;
};

}  // namespace sl
