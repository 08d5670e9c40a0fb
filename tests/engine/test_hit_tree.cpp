// sl::HitTree in a real engine: the plugin hit-tree compares it at each step with a sort of all that wait, over every change of
// the prompt tree that random traffic brings, and throws where they differ.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(hit_tree)

BOOST_AUTO_TEST_CASE(is_a_sort_of_all_that_wait) {
  std::uint64_t evicted = 0, preempted = 0, hits = 0, swapped = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Setting s;
    s.scheduler = "hit-tree";
    s.blocks = seed % 3 == 0 ? 1024 : 40;
    s.token_budget = seed % 2 == 0 ? 24 : 100;
    s.max_sequences = 5;
    s.lag = seed % 4 / 2;
    if (seed % 5 == 0) s.host_blocks = 64, s.preemption = "swap";
    if (seed % 7 < 3)  // it takes over amid the traffic, from events
      s.scheduler = "fcfs", s.swaps = {{20 + seed, policy::Kind::scheduler, {"hit-tree", {}}}};
    std::vector<Ask> asks = mixed_asks(200, seed, 120);
    for (std::size_t i = 0; i < asks.size(); ++i) {
      asks[i].at_step = i / 8;
      if (i % 2 == 0) asks[i].spec.tenant = i % 4 == 0 ? "a" : "b";
    }
    BOOST_TEST_CONTEXT(s.name() << " seed=" << seed) {
      World world(s, asks);
      std::uint32_t most = 0;
      while (world.one_step()) most = std::max(most, world.engine().requests().ready_count());
      BOOST_REQUIRE_EQUAL(world.counters().fallbacks.size(), 0u);
      BOOST_REQUIRE_EQUAL(world.counters().swaps, s.swaps.size());
      BOOST_REQUIRE_GE(most, 60u);
      evicted += world.counters().evicted_blocks;
      preempted += world.counters().preemptions;
      hits += world.counters().hit_tokens;
      swapped += world.counters().swapped_in;
    }
  }
  BOOST_TEST(evicted > 10000u);
  BOOST_TEST(preempted > 500u);
  BOOST_TEST(hits > 10000u);
  BOOST_TEST(swapped > 20u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
