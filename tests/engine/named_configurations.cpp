#include "named_configurations.hpp"

namespace serveloop::test {

namespace {

using policy::Choice;

CpuSwap scheduler(Choice to) { return {0, policy::Kind::scheduler, std::move(to)}; }
CpuSwap eviction(Choice to) { return {0, policy::Kind::eviction, std::move(to)}; }
CpuSwap preemption(const char* plugin) { return {0, policy::Kind::preemption, {plugin}}; }

Choice with(const char* plugin, const char* option, double value) {
  return {plugin, toml::Table{{option, value}}};
}
Choice with(const char* plugin, const char* option, int value) {
  return {plugin, toml::Table{{option, value}}};
}

// Memory for all, whole prompts in a step: what batching alone does.
NamedConfiguration fcfs_roomy() {
  CpuSetting s{.scheduler = {"fcfs"}, .eviction = {"lru"}, .precision = "native"};
  s.token_budget = 1024;
  s.swaps = {scheduler({"priority"})};
  return {"fcfs_roomy", s, 0, {.hits = true}};
}

// Prompts in pieces beside decodes; after the swap in pieces of another size.
NamedConfiguration sarathi_small_chunks() {
  CpuSetting s{.scheduler = with("sarathi", "chunk_budget", 16), .eviction = {"slru"}, .precision = "native"};
  s.token_budget = 24;
  s.swaps = {scheduler(with("fcfs", "max_prefill_tokens", 7))};
  return {"sarathi_small_chunks", s, 0, {.hits = true, .splits = true}};
}

// Few sequences at once: who ranks higher takes the slot of who runs, with memory free.
NamedConfiguration priority_taking_slots() {
  CpuSetting s{.scheduler = {"priority"}, .eviction = {"lru"}, .precision = "bf16"};
  s.token_budget = 64;
  s.max_sequences = 2;
  s.swaps = {scheduler({"priority"}), preemption("cost")};  // the same, which must learn who runs
  return {"priority_taking_slots", s, 0, {.preemptions = true, .hits = true}, true};
}

// One long request fills it, so that the others are computed over and over.
NamedConfiguration smallest_pool() {
  CpuSetting s{.scheduler = {"fcfs"}, .eviction = {"slru"}, .precision = "f32"};
  s.token_budget = 48;
  s.swaps = {scheduler({"sarathi"}), eviction({"lru"}), preemption("least-progress")};
  return {"smallest_pool", s, 2, {.preemptions = true, .evictions = true}};
}

NamedConfiguration no_prefix_cache() {
  CpuSetting s{.scheduler = {"sarathi"}, .eviction = {"lru"}, .precision = "native"};
  s.prefix_cache = false;
  s.swaps = {scheduler({"fcfs"}), preemption("cost")};
  return {"no_prefix_cache", s, 3, {.preemptions = true}};
}

// Each step planned before the tokens of the one before it are known, short of memory and in small steps.
NamedConfiguration lag_one() {
  CpuSetting s{.scheduler = {"fcfs"}, .eviction = {"lru"}, .precision = "native"};
  s.lag = 1;
  s.token_budget = 12;
  s.swaps = {scheduler(with("sarathi", "chunk_budget", 16)), eviction({"slru"})};
  return {"lag_one", s, 3, {.preemptions = true, .evictions = true, .hits = true, .splits = true}};
}

// Shared beginnings stay while others leave.
NamedConfiguration slru_prefix_reuse() {
  CpuSetting s{.scheduler = {"priority"}, .eviction = {"slru"}, .precision = "bf16"};
  s.token_budget = 64;
  s.swaps = {scheduler({"fcfs"}), eviction(with("slru", "protected_share", 0.3))};
  return {"slru_prefix_reuse", s, 4, {.evictions = true, .hits = true}};
}

NamedConfiguration f32_lag_one() {
  CpuSetting s{.scheduler = with("sarathi", "chunk_budget", 16), .eviction = {"slru"}, .precision = "f32"};
  s.lag = 1;
  s.token_budget = 20;
  s.swaps = {scheduler({"priority"}), preemption("most-blocks")};
  return {"f32_lag_one", s, 3, {.preemptions = true, .evictions = true, .hits = true, .splits = true}};
}

// Who yields goes to host memory and comes back from there. Some copies fail, some are late.
NamedConfiguration host_memory_swap() {
  CpuSetting s{.scheduler = {"fcfs"}, .eviction = with("lru", "ahead_share", 0.2), .preemption = {"swap"}};
  s.host_blocks = 1;
  s.token_budget = 12;
  s.bad_copies = true;
  s.swaps = {scheduler({"sarathi"}), eviction(with("slru", "ahead_share", 0.2))};
  return {"host_memory_swap", s, 3, {.preemptions = true, .hits = true, .swaps = true}};
}

// Shared beginnings go to host memory, and come back while those who have them wait for a slot.
NamedConfiguration host_memory_prefetch() {
  CpuSetting s{
      .scheduler = {"priority"}, .eviction = with("lru", "ahead_share", 0.5), .preemption = {"swap"}};
  s.host_blocks = 1;
  s.max_sequences = 2;
  s.bad_copies = true;
  s.swaps = {scheduler({"fcfs"}), eviction(with("slru", "ahead_share", 0.5))};
  return {"host_memory_prefetch", s, 5, {.hits = true, .demotions = true, .prefetches = true}, true};
}

// Copies are dear, so that each yields by recompute or but for its first blocks; cached ones go to host memory all the same.
NamedConfiguration host_memory_cost_lag_one() {
  CpuSetting s{
      .scheduler = {"sarathi"}, .eviction = with("slru", "ahead_share", 0.2), .preemption = {"cost"}};
  s.host_blocks = 1;
  s.lag = 1;
  s.token_budget = 12;
  s.bad_copies = true;
  s.swap_block_ns = kSlowCopy;
  s.swaps = {scheduler({"fcfs"}), preemption("cost")};
  return {
      "host_memory_cost_lag_one", s, 3, {.preemptions = true, .hits = true, .splits = true, .keeps = true}};
}

}  // namespace

CpuSetting NamedConfiguration::of(const CpuTraffic& traffic, unsigned threads,
                                  std::uint32_t block_tokens) const {
  CpuSetting s = setting;
  s.threads = threads;
  s.block_tokens = block_tokens;
  if (halves != 0) s.blocks = halves * traffic.smallest_pool(s.block_tokens) / 2;
  if (s.host_blocks != 0) s.host_blocks = 3 * traffic.smallest_pool(s.block_tokens);
  if (spread) s.pace = traffic.longest_answer() / 2;
  for (CpuSwap& swap : s.swaps) swap.after_ends = traffic.sequences() / 2;
  return s;
}

const std::vector<NamedConfiguration>& named_configurations() {
  static const std::vector<NamedConfiguration> all = {fcfs_roomy(),
                                                      sarathi_small_chunks(),
                                                      priority_taking_slots(),
                                                      smallest_pool(),
                                                      no_prefix_cache(),
                                                      lag_one(),
                                                      slru_prefix_reuse(),
                                                      f32_lag_one(),
                                                      host_memory_swap(),
                                                      host_memory_prefetch(),
                                                      host_memory_cost_lag_one()};
  return all;
}

}  // namespace serveloop::test
