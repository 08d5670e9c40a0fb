// Who parked a sequence, and until when: each gate and the scheduler for itself, so that one who lets go, or is
// thrown out, lets go of nothing that another holds. Costs memory for parked sequences only. The loop thread's.
#pragma once

#include <serveloop/base.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace serveloop::requests {

// A gate's place in the configuration, or the scheduler.
using Holder = std::uint32_t;
inline constexpr Holder kScheduler = SL_NONE;

struct Hold {
  Holder who;
  std::uint64_t wake_ns;  // SL_NEVER: until released
};

class Holds {
 public:
  bool empty() const { return by_slot_.empty(); }

  // A holder's last word counts.
  void set(std::uint32_t slot, Holder who, std::uint64_t wake_ns) {
    std::vector<Hold>& holds = by_slot_[slot];
    const auto found = std::find_if(holds.begin(), holds.end(), [&](const Hold& h) { return h.who == who; });
    if (found == holds.end())
      holds.push_back({who, wake_ns});
    else
      found->wake_ns = wake_ns;
  }

  // Removes the holds of a slot for which `gone(hold)`.
  template <class Gone>
  void erase(std::uint32_t slot, Gone&& gone) {
    const auto found = by_slot_.find(slot);
    if (found == by_slot_.end()) return;
    std::erase_if(found->second, gone);
    if (found->second.empty()) by_slot_.erase(found);
  }

  // Calls `see(hold)` for each that is left.
  template <class See>
  void each(std::uint32_t slot, See&& see) const {
    const auto found = by_slot_.find(slot);
    if (found == by_slot_.end()) return;
    for (const Hold& hold : found->second) see(hold);
  }

  // Slots that `who` holds, ascending: what follows from this must not depend on a table's order.
  std::vector<std::uint32_t> held_by(Holder who) const {
    std::vector<std::uint32_t> slots;
    for (const auto& [slot, holds] : by_slot_)
      if (std::any_of(holds.begin(), holds.end(), [&](const Hold& h) { return h.who == who; }))
        slots.push_back(slot);
    std::sort(slots.begin(), slots.end());
    return slots;
  }

 private:
  std::unordered_map<std::uint32_t, std::vector<Hold>> by_slot_;
};

}  // namespace serveloop::requests
