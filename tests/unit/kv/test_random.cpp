// 10,000 random operations against the model and the audit; and the same calls give the same bytes.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::kv::test {

BOOST_AUTO_TEST_SUITE(random_operations)

namespace {
void run(World& world, const World::Setup& setup) {
  for (std::uint32_t operation = 1; operation <= 10000; ++operation) {
    world.operate();
    if (operation % (setup.host_blocks > 0 ? 10 : 50) == 0)
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
}  // namespace

BOOST_AUTO_TEST_CASE(the_cache_holds_what_the_model_says) {
  for (const World::Setup setup :
       {World::Setup{1, 96, 24, 0}, World::Setup{2, 96, 24, 1}, World::Setup{3, 40, 12, 1},
        World::Setup{4, 400, 40, 1}, World::Setup{5, 24, 8, 0}}) {
    World world(setup);
    run(world, setup);
  }
}

BOOST_AUTO_TEST_CASE(two_tiers_hold_what_the_model_says) {
  World::Counts all{};
  for (const World::Setup setup :
       {World::Setup{6, 96, 24, 0, 96}, World::Setup{7, 96, 24, 1, 40}, World::Setup{8, 40, 12, 1, 200},
        World::Setup{9, 200, 40, 1, 12}, World::Setup{10, 24, 8, 0, 24}}) {
    World world(setup);
    run(world, setup);
    const World::Counts& c = world.counts;
    BOOST_TEST_MESSAGE("  demoted " << c.demoted << ", not " << c.not_demoted << ", host drops "
                                    << c.host_dropped << ", swapped " << c.swapped << ", not " << c.no_swap
                                    << ", in " << c.swapped_in << ", prefetched " << c.prefetched
                                    << ", pending " << c.pending << ", broken " << c.broken << ", arrived "
                                    << c.arrived << ", cut " << c.cut << ", lost " << c.lost
                                    << ", out failed " << c.out_failed << ", replaced " << c.replaced
                                    << ", ended in flight " << c.ended_in_flight);
    for (const auto field :
         {&World::Counts::demoted, &World::Counts::not_demoted, &World::Counts::host_dropped,
          &World::Counts::swapped, &World::Counts::no_swap, &World::Counts::swapped_in,
          &World::Counts::prefetched, &World::Counts::pending, &World::Counts::broken,
          &World::Counts::arrived, &World::Counts::cut, &World::Counts::lost, &World::Counts::out_failed,
          &World::Counts::replaced, &World::Counts::ended_in_flight})
      all.*field += c.*field;
  }
  for (const std::uint32_t count : {all.demoted, all.not_demoted, all.host_dropped, all.swapped, all.no_swap,
                                    all.swapped_in, all.prefetched, all.pending, all.broken, all.arrived,
                                    all.cut, all.lost, all.out_failed, all.replaced, all.ended_in_flight})
    BOOST_TEST(count >= 20u);
}

BOOST_AUTO_TEST_CASE(the_same_calls_give_the_same_bytes) {
  for (const std::uint32_t host_blocks : {0u, 48u}) {
    const World::Setup setup{9, 96, 24, 1, host_blocks};
    World first(setup), second(setup);
    for (std::uint32_t operation = 0; operation < 2000; ++operation) {
      first.operate();
      std::vector<char> shift(operation % 977);  // other addresses
      second.operate();
      if (operation % 100 == 0) BOOST_TEST_REQUIRE(first.digest() == second.digest());
    }
    BOOST_TEST(first.digest() == second.digest());
    BOOST_TEST(first.verify() == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::kv::test
