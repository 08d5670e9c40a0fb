// 10,000 random operations against the model and the audit; and the same calls give the same bytes.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::kv::test {

BOOST_AUTO_TEST_SUITE(random_operations)

BOOST_AUTO_TEST_CASE(the_cache_holds_what_the_model_says) {
  for (const World::Setup setup :
       {World::Setup{1, 96, 24, 0}, World::Setup{2, 96, 24, 1}, World::Setup{3, 40, 12, 1},
        World::Setup{4, 400, 40, 1}, World::Setup{5, 24, 8, 0}}) {
    World world(setup);
    for (std::uint32_t operation = 1; operation <= 10000; ++operation) {
      world.operate();
      if (operation % 50 == 0)
        BOOST_TEST_REQUIRE(world.verify() == "",
                           "seed " << setup.seed << ", operation " << operation << ": " << world.verify());
    }
    world.finish();
    BOOST_TEST(world.verify() == "");
    KV_IDLE(world.rig);
    const World::Counts& counts = world.counts;
    BOOST_TEST_MESSAGE("seed " << setup.seed << ": steps " << counts.steps << ", hits " << counts.hits
                               << ", planned " << counts.planned_hits << ", taken " << counts.taken
                               << ", evicted " << counts.evicted << ", preempted " << counts.preempted
                               << ", cancelled " << counts.cancelled << ", failed " << counts.failed
                               << ", splits " << counts.splits << ", transient " << counts.transient
                               << ", generated " << counts.settled);
    for (const std::uint32_t count :
         {counts.hits, counts.planned_hits, counts.taken, counts.evicted, counts.preempted, counts.cancelled,
          counts.failed, counts.splits, counts.transient, counts.settled})
      BOOST_TEST(count >= 20u);
  }
}

BOOST_AUTO_TEST_CASE(the_same_calls_give_the_same_bytes) {
  World first({9, 96, 24, 1}), second({9, 96, 24, 1});
  for (std::uint32_t operation = 0; operation < 2000; ++operation) {
    first.operate();
    std::vector<char> shift(operation % 977);  // other addresses
    second.operate();
    if (operation % 100 == 0) BOOST_TEST_REQUIRE(first.digest() == second.digest());
  }
  BOOST_TEST(first.digest() == second.digest());
  BOOST_TEST(first.verify() == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
