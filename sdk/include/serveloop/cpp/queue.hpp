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

// Cost: O(log waiting) per event that concerns it, nothing per step. Smallest key first.
template <class Key>
class ReadyQueue {
 public:
  explicit ReadyQueue(uint32_t sequence_slots) : by_slot_(sequence_slots) {}

  // Takes in a call's events. `key_of(view, row)` is asked when a sequence becomes ready.
  template <class KeyOf>
  void hear(const View& view, KeyOf&& key_of) {
    for (const sl_event& event : view.events()) {
      switch (event.kind) {
        case SL_EV_READY:
        case SL_EV_PREEMPTED:
        case SL_EV_RESUMED: insert(view, event.subject, key_of); break;
        case SL_EV_ADMITTED:
        case SL_EV_PARKED:
        case SL_EV_PAUSED:
        case SL_EV_IN_TRANSIT:
        case SL_EV_ENDED: erase(event.subject); break;
        default: break;
      }
    }
  }

  using Set = std::set<std::pair<Key, sl_seq>>;
  typename Set::const_iterator begin() const { return set_.begin(); }
  typename Set::const_iterator end() const { return set_.end(); }
  bool empty() const { return set_.empty(); }
  std::size_t size() const { return set_.size(); }

 private:
  template <class KeyOf>
  void insert(const View& view, sl_seq seq, KeyOf&& key_of) {
    const sl_seq_row* row = view.find(seq);
    if (row == nullptr) return;
    erase(seq);
    if (!ready_to_admit(*row)) return;
    std::optional<std::pair<Key, sl_seq>>& entry = by_slot_[SL_SEQ_SLOT(seq)];
    entry.emplace(key_of(view, *row), seq);
    set_.insert(*entry);
  }
  void erase(sl_seq seq) {
    auto& entry = by_slot_[SL_SEQ_SLOT(seq)];
    if (!entry || SL_SEQ_GENERATION(entry->second) > SL_SEQ_GENERATION(seq)) return;
    set_.erase(*entry);
    entry.reset();
  }
  Set set_;
  std::vector<std::optional<std::pair<Key, sl_seq>>> by_slot_;
};

}  // namespace sl
