// The policies that are shipped, hot swaps among them, and how often they decided what.
#pragma once

#include <string_view>
#include <tuple>

#include "makes_no_room.hpp"
#include "world.hpp"

namespace serveloop::test {

inline const std::vector<const char*> kSchedulers = {"fcfs", "sarathi", "priority", "srpt", "edf", "lars",
                                                     "mlfq", "plas",    "vtc",      "lpm",  "dlpm"};
// Those who look for memory before they let anybody in: little or nothing yields for it.
inline const std::vector<const char*> kRoomFirst = {"static", "orca", "prefill-first", "memory-aware"};
inline const std::vector<const char*> kEvictions = {"lru",   "slru",   "lfu", "gdsf",
                                                    "sieve", "s3fifo", "arc", "retention"};

// Two of each kind, to any plugin that is shipped.
inline std::vector<Setting::Swap> random_swaps(std::uint64_t seed) {
  static const std::vector<std::pair<policy::Kind, std::vector<const char*>>> kKinds = {
      {policy::Kind::scheduler, kSchedulers},
      {policy::Kind::scheduler, kRoomFirst},
      {policy::Kind::eviction, kEvictions},
      {policy::Kind::preemption, {"cost", "swap", "least-progress", "most-blocks", "recompute"}}};
  std::vector<Setting::Swap> swaps;
  std::uint64_t at = 3 + seed % 11;
  for (std::uint64_t i = 0; i < 6; ++i, at += 7 + (seed * 31 + i * 17) % 23) {
    const auto& [kind, names] = kKinds[(seed + i) % kKinds.size()];
    swaps.push_back({at, kind, {names[(seed + i / kKinds.size()) % names.size()], {}}});
  }
  return swaps;
}

// How many answers' rows said so: "keep", "park". Those of the fallback count too.
inline std::uint64_t decided(const engine::Engine& engine, std::string_view decision) {
  std::uint64_t sum = 0;
  for (const engine::Decision& of : engine.decisions().list())
    if (of.decision == decision) sum += of.count;
  return sum;
}

}  // namespace serveloop::test
