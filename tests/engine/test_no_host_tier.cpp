// Without a host tier, what asks for one is answered in its place and with that reason: swap-in and prefetch are
// unplaceable, a demotion is a drop, a yield by swap is a recompute. No answer is refused for it.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(no_host_tier)

BOOST_AUTO_TEST_CASE(each_wish_is_answered_with_its_reason) {
  const std::vector<Ask> asks = mixed_asks(120, 11, 90);
  const Outputs reference = alone(asks);
  for (const std::uint32_t lag : {0u, 1u}) {
    Setting s;
    s.lag = lag;
    s.blocks = 36;
    s.token_budget = 60;
    s.scheduler = "chaos";  // swaps in, prefetches, preempts by swap
    s.eviction = "bad-eviction";
    s.eviction_options = toml::Table{{"mode", "demote"}, {"rate", std::int64_t{1}}};
    World world(s, asks);
    world.run();
    check_law_1(world, asks, reference);
    check_idle(world);
    const engine::Counters& c = world.counters();
    BOOST_CHECK_GE(c.fell.at(SL_REASON_NO_HOST_TIER), 20u);
    BOOST_CHECK_GE(c.no_host_tier, 20u);
    BOOST_CHECK_GE(c.evicted_blocks, 20u);
    for (const auto& [which, count] : c.fallbacks)
      BOOST_CHECK_MESSAGE(which.second == SL_REASON_NO_PROGRESS,
                          "kind " << int{which.first} << " refused " << count << " times: " << which.second);
    std::uint32_t swapped = 0;
    for (const engine::Finished& end : world.ends()) swapped += end.preempt_reason == SL_REASON_NO_HOST_TIER;
    BOOST_CHECK_GE(swapped, 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
