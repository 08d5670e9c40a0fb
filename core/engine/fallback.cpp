// The linked-in policies: what answers when a plugin is wrong or gone. They need no plugin, no state and no
// memory.
#include "engine/fallback.hpp"

#include <algorithm>

namespace serveloop::engine::fallback {

// First come, first served: running sequences in admission order, then ready ones, while tokens and slots
// last.
std::uint32_t plan(requests::Manager& requests, const Options& options, std::span<sl_entry> entries) {
  std::uint32_t count = 0, budget = options.token_budget,
                slots = options.max_sequences - requests.running_count();
  const auto add = [&](requests::Slot slot, std::uint16_t verb) {
    const sl_seq_row& row = requests.row(slot);
    const std::uint32_t tokens = std::min(row.runnable, budget);
    if (tokens == 0) return;
    entries[count++] = {row.id, verb, SL_REASON_NONE, tokens, 0, 0, 0};
    budget -= tokens;
  };
  for (const requests::Slot slot : requests.running())
    if (count < entries.size()) add(slot, SL_RUN);
  for (requests::Slot slot = requests.first_ready();
       slot != SL_NONE && budget > 0 && slots > 0 && count < entries.size();
       slot = requests.next_ready(slot), --slots) {
    if (requests.row(slot).state == SL_SWAPPED)
      entries[count++] = {requests.row(slot).id, SL_SWAP_IN, SL_REASON_NONE, 0, 0, 0, 0};
    else
      add(slot, SL_ADMIT);
  }
  return count;
}

// The last in plan rank recompute, until the need is covered; of those that free nothing alone, one.
std::uint32_t preempt(std::span<const sl_candidate> candidates, std::uint32_t need,
                      std::span<sl_yield> yields) {
  std::uint32_t count = 0, freed = 0;
  for (std::size_t i = candidates.size(); i-- > 0 && freed < need;) {
    yields[count++] = {candidates[i].seq, SL_YIELD_RECOMPUTE, SL_REASON_NONE, 0};
    freed += candidates[i].frees;
    if (candidates[i].frees == 0) break;
  }
  return count;
}

}  // namespace serveloop::engine::fallback
