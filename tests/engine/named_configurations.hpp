// Eleven settings of the loop, each with a name that says what it is about, for a real model.
#pragma once

#include <string>
#include <vector>

#include "cpu_traffic.hpp"

namespace serveloop::test {

// What a setting's pool, budget and policies let happen; a run of it must show it.
struct Shows {
  bool preemptions = false, evictions = false, hits = false, splits = false;
  bool swaps = false, demotions = false, prefetches = false, keeps = false;  // with a tier in host memory
};

struct NamedConfiguration {
  std::string name;
  CpuSetting setting;        // but for the pools (host_blocks: whether there is a tier), and when it swaps
  std::uint32_t halves = 0;  // of the smallest pool that holds the longest request; 0: roomy
  Shows shows;
  bool spread = false;  // requests come about as fast as two sequences at once are served

  // For these requests; each swap comes when half of their sequences have ended.
  CpuSetting of(const CpuTraffic& traffic, unsigned threads, std::uint32_t block_tokens) const;
};

const std::vector<NamedConfiguration>& named_configurations();

}  // namespace serveloop::test
