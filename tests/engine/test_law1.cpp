// Law 1: whatever policies decide, a request's tokens are those it would get alone.
#include <fmt/format.h>

#include <array>
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 200, kLongestPrompt = 96;
constexpr std::uint64_t kAtLeast = 20;

const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = mixed_asks(kRequests, 7, kLongestPrompt);
  return all;
}
const Outputs& reference() {
  static const Outputs outputs = alone(asks());
  return outputs;
}

// The smallest pool that intake accepts for the longest of them: (96 + 28 - 1) tokens.
constexpr std::uint32_t kSmallest = (kLongestPrompt + 28 + kBlockTokens - 2) / kBlockTokens;

void check(const Setting& s) {
  BOOST_TEST_CONTEXT(s.name()) {
    World world(s, asks());
    world.run();
    check_law_1(world, asks(), reference());
    BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    BOOST_REQUIRE_EQUAL(world.ends().size(), reference().size());
    const engine::Counters& c = world.counters();
    if (s.blocks <= 2 * kSmallest) {
      BOOST_CHECK_GE(c.preemptions, kAtLeast);
      if (s.prefix_cache) BOOST_CHECK_GE(c.evicted_blocks, kAtLeast);
    }
    if (s.token_budget <= 64) BOOST_CHECK_GE(c.split_prompts, kAtLeast);
    if (s.prefix_cache && s.blocks >= 2 * kSmallest) BOOST_CHECK_GE(c.hit_tokens / kBlockTokens, kAtLeast);
    BOOST_CHECK_EQUAL(c.swaps, s.swaps.size());
    std::uint64_t kept = 0, parked = 0;
    for (const auto& [key, count] : world.engine().decisions().counts()) {
      if (std::get<1>(key) == "keep") kept += count.count;
      if (std::get<1>(key) == "park") parked += count.count;
    }
    if (s.preemption == "cost") BOOST_CHECK_GE(kept, kAtLeast);
    if (!s.gates.empty()) BOOST_CHECK_GE(parked, kAtLeast);
    for (const auto& [what, count] : c.fallbacks)
      BOOST_ERROR(fmt::format("kind {} fell back {} times, reason {}", what.first, count, what.second));
  }
}

std::vector<std::pair<std::uint64_t, policy::Choice>> random_swaps(std::uint64_t seed) {
  static const char* kNames[] = {"sarathi", "priority", "fcfs"};
  std::vector<std::pair<std::uint64_t, policy::Choice>> swaps;
  std::uint64_t at = 3 + seed % 11;
  for (int i = 0; i < 6; ++i, at += 7 + (seed * 31 + static_cast<std::uint64_t>(i) * 17) % 23)
    swaps.emplace_back(at, policy::Choice{kNames[(seed + static_cast<std::uint64_t>(i)) % 3], {}});
  return swaps;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(law_1)

BOOST_AUTO_TEST_CASE(the_full_product) {
  std::uint64_t run = 0;
  for (const char* scheduler : {"fcfs", "priority", "sarathi"})
    for (const char* eviction : {"lru", "slru"})
      for (const std::uint32_t blocks : {kSmallest, 2 * kSmallest, 1024u})
        for (const bool prefix_cache : {true, false})
          for (const std::uint32_t budget : {24u, 64u, 512u})
            for (const std::uint32_t lag : {0u, 1u})
              for (const bool swaps : {false, true}) {
                Setting s;
                s.scheduler = scheduler;
                s.eviction = eviction;
                s.blocks = blocks;
                s.prefix_cache = prefix_cache;
                s.token_budget = budget;
                s.lag = lag;
                if (swaps) s.swaps = random_swaps(++run);
                check(s);
              }
}

// Whoever yields, and whatever it keeps.
BOOST_AUTO_TEST_CASE(every_preemption_policy) {
  std::uint64_t run = 0;
  for (const char* preemption : kPreemptions)
    for (const std::uint32_t blocks : {kSmallest, 2 * kSmallest})
      for (const bool prefix_cache : {true, false})
        for (const std::uint32_t lag : {0u, 1u}) {
          Setting s;
          s.scheduler = std::array{"fcfs", "priority", "sarathi"}[++run % 3];
          s.eviction = run % 2 == 0 ? "lru" : "slru";
          s.preemption = preemption;
          s.blocks = blocks;
          s.prefix_cache = prefix_cache;
          s.token_budget = 64;
          s.lag = lag;
          check(s);
        }
}

BOOST_AUTO_TEST_CASE(behind_a_token_bucket) {
  for (const char* preemption : {"cost", "swap"})
    for (const std::uint32_t lag : {0u, 1u}) {
      Setting s;
      s.gates = {{"token-bucket", toml::Table{{"rate", 20000}, {"burst", 400}}}};
      s.preemption = preemption;
      s.blocks = 2 * kSmallest;
      s.token_budget = 64;
      s.lag = lag;
      check(s);
    }
}

BOOST_AUTO_TEST_CASE(the_linked_in_policies_alone) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t blocks : {kSmallest, 1024u}) {
      Setting s;
      s.scheduler = s.eviction = s.preemption = "";
      s.blocks = blocks;
      s.lag = lag;
      World world(s, asks());
      world.run();
      check_law_1(world, asks(), reference());
      BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
