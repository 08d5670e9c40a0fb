// Counts of what was decided, by plugin, decision and reason: what /metrics shows. The loop thread's.
#pragma once

#include <serveloop/eviction.h>
#include <serveloop/preemption.h>
#include <serveloop/scheduler.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "engine/output.hpp"
#include "policy/instance.hpp"

namespace serveloop::engine {

const char* verb_name(std::uint16_t verb);       // "admit"; "?" for none of SL_RUN .. SL_REJECT
const char* yield_name(std::uint16_t mode);      // "recompute"
const char* victim_name(std::uint16_t to_tier);  // "drop", "demote"

class Decisions {
 public:
  // Of an answer that was used. `policy` is null where the linked-in fallback gave it, or a failed step made all yield. Yields as they
  // came, those that a plan asked for too: a swap that became a recompute is one, with the core's reason.
  void add(const policy::Instance* policy, std::span<const sl_entry> entries);
  void add(const policy::Instance* policy, std::span<const sl_victim> victims);
  void add(const policy::Instance* policy, std::span<const sl_yield> yields);

  std::vector<Decision> list() const;

 private:
  using Key = std::tuple<std::string, std::string_view, std::uint16_t>;  // plugin, decision, reason's code
  struct Count {
    std::string reason;  // its name
    std::uint64_t count = 0;
  };
  template <class Row, class What, class Name>
  void add_runs(const policy::Instance* policy, std::span<const Row> rows, What what, Name&& name);
  std::map<Key, Count> counts_;
};

}  // namespace serveloop::engine
