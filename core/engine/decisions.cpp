#include "engine/decisions.hpp"

#include <iterator>

#include "policy/reasons.hpp"

namespace serveloop::engine {

const char* verb_name(std::uint16_t verb) {
  static constexpr const char* kNames[] = {"?",        "run",     "admit", "reserve", "swap in",
                                           "prefetch", "preempt", "park",  "release", "reject"};
  return verb < std::size(kNames) ? kNames[verb] : "?";
}

const char* yield_name(std::uint16_t mode) {
  static constexpr const char* kNames[] = {"recompute", "swap", "keep"};
  return mode < std::size(kNames) ? kNames[mode] : "?";
}

const char* victim_name(std::uint16_t to_tier) { return to_tier == SL_TIER_HOST ? "demote" : "drop"; }

// Rows that stand side by side mostly say the same, and are counted as one. `what`: the member that says it.
template <class Row, class What, class Name>
void Decisions::add_runs(const policy::Instance* policy, std::span<const Row> rows, What what, Name&& name) {
  for (std::size_t begin = 0, end; begin < rows.size(); begin = end) {
    const Row& first = rows[begin];
    for (end = begin + 1;
         end < rows.size() && rows[end].reason == first.reason && rows[end].*what == first.*what;)
      ++end;
    const char* decision = name(first.*what);
    Count& count = counts_[{policy == nullptr ? "fallback" : policy->id(), decision, first.reason}];
    if (count.count == 0)
      count.reason = policy::reason_name(first.reason, policy == nullptr ? nullptr : &policy->manifest());
    count.count += end - begin;
  }
}

void Decisions::add(const policy::Instance* policy, std::span<const sl_entry> entries) {
  add_runs(policy, entries, &sl_entry::verb, verb_name);
}

void Decisions::add(const policy::Instance* policy, std::span<const sl_victim> victims) {
  add_runs(policy, victims, &sl_victim::to, victim_name);
}

void Decisions::add(const policy::Instance* policy, std::span<const sl_yield> yields) {
  add_runs(policy, yields, &sl_yield::mode, yield_name);
}

std::vector<Decision> Decisions::list() const {
  std::vector<Decision> out;
  for (const auto& [key, count] : counts_)
    out.push_back({std::get<0>(key), std::string(std::get<1>(key)), count.reason, count.count});
  return out;
}

}  // namespace serveloop::engine
