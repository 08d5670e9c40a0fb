#include "cpu_array.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <iterator>

#include "../sanitized.hpp"
#include "makes_no_room.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint64_t kAtLeast = 20;

// The factors; beside them lag, threads, prefix cache, swaps, bad copies and the copies' pace, two values each. Pools in
// halves of the smallest; 0: roomy. Host memory likewise; 0: none.
const std::vector<const char*> kSchedulers = {"fcfs", "priority", "sarathi", "srpt",
                                              "edf",  "lars",     "mlfq",    "plas"};
const std::vector<const char*> kEvictions = {"lru", "slru"};
const std::vector<const char*> kPlans = {"native", "bf16", "f32"};
const std::vector<std::uint32_t> kPools = {3, 4, 10, 0};
const std::vector<std::uint32_t> kBudgets = {24, 48, 400};
const std::vector<std::uint32_t> kHosts = {0, 2, 12};

CpuSetting setting_of(const Row& row, const CpuTraffic& traffic) {
  CpuSetting s;
  s.scheduler.plugin = kSchedulers[row[0]];
  s.eviction.plugin = kEvictions[row[1]];
  s.precision = kPlans[row[2]];
  if (const std::uint32_t halves = kPools[row[3]]; halves != 0)
    s.blocks = halves * traffic.smallest_pool(s.block_tokens) / 2;
  s.token_budget = kBudgets[row[4]];
  s.lag = static_cast<std::uint32_t>(row[5]);
  s.threads = static_cast<unsigned>(row[6]) + 1;
  s.prefix_cache = row[7] == 0;
  for (std::size_t third = 1; row[8] == 1 && third <= 2; ++third)
    s.swaps.push_back({third * traffic.sequences() / 3,
                       policy::Kind::scheduler,
                       {kSchedulers[(row[0] + third) % kSchedulers.size()]}});
  s.preemption.plugin = kPreemptions[row[9]];
  s.host_blocks = kHosts[row[10]] * traffic.smallest_pool(s.block_tokens) / 2;
  if (s.host_blocks > 0) {  // more is demoted than dropped, and at times there is room for it to come back
    s.eviction.options = toml::Table{{"ahead_share", 0.4}};
    s.pace = 4;
  }
  s.bad_copies = s.host_blocks > 0 && row[11] == 1;
  if (row[12] == 1) s.swap_block_ns = kSlowCopy;
  return s;
}

// What the second tier did, over all settings.
struct Tiers {
  std::uint64_t swapped_out = 0, swapped_in = 0, demoted = 0, prefetched = 0, kept = 0, failed = 0;

  void add(const Counted& c) {
    swapped_out += c.swapped_out, swapped_in += c.swapped_in;
    demoted += c.demoted_blocks, prefetched += c.prefetched_blocks;
    kept += c.kept, failed += c.copies_failed;
  }
  void check() const {
    BOOST_TEST_MESSAGE(
        fmt::format("{} swapped out, {} in, {} demoted, {} prefetched, {} kept in part, {} copies failed",
                    swapped_out, swapped_in, demoted, prefetched, kept, failed));
    for (const std::uint64_t count : {swapped_out, swapped_in, demoted, prefetched, kept, failed})
      BOOST_CHECK_GE(count, kAtLeast);
  }
};

}  // namespace

std::vector<std::size_t> array_sizes() {
  return {kSchedulers.size(),
          kEvictions.size(),
          kPlans.size(),
          kPools.size(),
          kBudgets.size(),
          2,
          2,
          2,
          2,
          std::size(kPreemptions),
          kHosts.size(),
          2,
          2};
}

const std::vector<Row>& array_rows() {
  static const std::vector<Row> all = covering_array(array_sizes());
  return all;
}

void check_array(CpuTraffic& traffic) {
  std::uint64_t preemptions = 0, evicted = 0, hits = 0, split = 0;
  Tiers tiers;
  for (const Row& row : array_rows()) {
    if (kUnderAsan && (&row - array_rows().data()) % 3 != 0) continue;
    const CpuSetting s = setting_of(row, traffic);
    const Counted c = check_cpu_law_1(s, traffic);
    tiers.add(c);
    preemptions += c.preemptions;
    evicted += c.evicted_blocks;
    hits += c.hit_tokens / s.block_tokens;
    split += c.split_prompts;
    BOOST_TEST_CONTEXT(s.name()) {
      if (row[3] == 0)
        BOOST_CHECK_GE(c.preemptions, makes_no_room(s.scheduler.plugin) ? kAtLeast / 4 : kAtLeast);
      if (row[3] == 0 && s.prefix_cache) BOOST_CHECK_GE(c.evicted_blocks, kAtLeast);
      if (s.prefix_cache) BOOST_CHECK_GE(c.hit_tokens / s.block_tokens, kAtLeast);
      if (s.token_budget == kBudgets[0]) BOOST_CHECK_GE(c.split_prompts, kAtLeast);
    }
  }
  BOOST_TEST_MESSAGE(fmt::format("{} settings: {} preemptions, {} evicted, {} hits, {} split",
                                 array_rows().size(), preemptions, evicted, hits, split));
  if (!kUnderAsan) tiers.check();
}

}  // namespace serveloop::test
