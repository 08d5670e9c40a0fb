// What leaves the device, and where to: the eviction policies on trees of blocks made by hand, with and without a host tier.
#include <boost/test/unit_test.hpp>

#include "eviction_pool.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint16_t kOldest = SL_REASON_PLUGIN;  // of lru
constexpr std::uint16_t kDemoted = SL_REASON_PLUGIN + 1, kMadeRoom = SL_REASON_PLUGIN + 2;

}  // namespace

BOOST_AUTO_TEST_SUITE(demotion)

// The same as ever: the longest idle, as many as are needed, all dropped, whatever the options say.
BOOST_AUTO_TEST_CASE(without_a_host_tier_all_is_dropped) {
  for (const char* plugin : {"lru", "slru"})
    for (const bool demote : {true, false}) {
      Pool pool(plugin, 12, 0, {{"demote", demote}, {"ahead_share", 0.5}});
      pool.path({4, 3, 2});
      pool.path({8, 9});
      pool.path({1}, false);
      const std::vector<sl_victim> victims = pool.ask(4, 12);
      BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{2, 3, 4, 9}));
      BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
      for (const sl_victim& victim : victims) BOOST_TEST(victim.reason == kOldest);  // and slru's probation
      BOOST_TEST(pool.ask(9, 12).size() == 5u);
    }
}

BOOST_AUTO_TEST_CASE(what_is_needed_is_dropped_and_the_next_are_demoted) {
  Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
  for (std::uint32_t b = 0; b < 20; b += 4) pool.path({b, b + 1, b + 2, b + 3});
  const std::vector<sl_victim> victims = pool.ask(3);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{3, 2, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{0, 7, 6, 5, 4}));
  for (const sl_victim& victim : victims)
    BOOST_TEST(victim.reason == (victim.to == SL_TIER_HOST ? kDemoted : kOldest));
}

BOOST_AUTO_TEST_CASE(how_many_are_demoted_ahead) {
  const auto demoted = [](std::uint32_t idle, std::uint32_t need, std::uint32_t ahead,
                          std::uint32_t leaving) {
    Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
    for (std::uint32_t b = 0; b < idle; ++b) pool.path({b});
    for (std::uint32_t b = 0; b < leaving; ++b) pool.leaves(60 + b, 100 + b);
    const auto victims = pool.ask(need, ahead);
    BOOST_TEST(to(victims, SL_TIER_NONE).size() == std::min(need, idle));
    return to(victims, SL_TIER_HOST).size();
  };
  BOOST_TEST(demoted(40, 3, 0, 0) == 5u);
  BOOST_TEST(demoted(40, 3, 12, 0) == 9u);  // 12 with those needed now
  BOOST_TEST(demoted(40, 3, 2, 0) == 5u);
  BOOST_TEST(demoted(40, 3, 0, 2) == 3u);  // some are leaving
  BOOST_TEST(demoted(40, 3, 0, 7) == 0u);
  BOOST_TEST(demoted(40, 3, 12, 7) == 9u);  // the core has counted those
  BOOST_TEST(demoted(6, 3, 0, 0) == 3u);    // no more are idle
  BOOST_TEST(demoted(40, 0, 4, 0) == 5u);
}

// What waits for its copy is memory of nobody's: no more of it than the link empties within four steps.
BOOST_AUTO_TEST_CASE(a_slow_link_has_most_dropped) {
  const auto demoted = [](double block_ns, std::uint32_t running, std::uint32_t leaving) {
    Pool pool("lru", 100, 50, {{"ahead_share", 0.2}});
    for (std::uint32_t b = 0; b < 40; ++b) pool.path({b});
    for (std::uint32_t b = 0; b < leaving; ++b) pool.leaves(60 + b, 100 + b);
    sl_cost& cost = pool.tables.cost;
    cost.step_fixed_ns = 6000;
    cost.decode_sequence_ns = 100;
    cost.swap_block_ns = block_ns;
    for (std::uint32_t i = 0; i < running; ++i) pool.tables.add(SL_RUNNING);
    const auto victims = pool.ask(3);
    BOOST_TEST(to(victims, SL_TIER_NONE).size() == 3u);
    return to(victims, SL_TIER_HOST).size();
  };
  BOOST_TEST(demoted(100, 0, 0) == 20u);  // 240 would be copied
  BOOST_TEST(demoted(4000, 0, 0) == 6u);  // 4 x 6,000 / 4,000
  BOOST_TEST(demoted(4000, 40, 0) == 10u);
  BOOST_TEST(demoted(4000, 0, 4) == 2u);
  BOOST_TEST(demoted(4000, 0, 9) == 0u);
  BOOST_TEST(demoted(25000, 0, 0) == 0u);  // not one
}

// Blocks that arrive are copied as well, and make no room.
BOOST_AUTO_TEST_CASE(only_what_leaves_counts_as_leaving) {
  Pool pool("lru", 100, 50, {{"ahead_share", 0.05}});
  for (std::uint32_t b = 0; b < 40; ++b) pool.path({b});
  pool.tables.raw().tier[SL_TIER_DEVICE].in_transit = 20;
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 5u);
  for (std::uint32_t b = 0; b < 5; ++b) pool.leaves(60 + b, 100 + b);
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 0u);
  for (std::uint32_t b = 0; b < 3; ++b) pool.has_left(100 + b);
  BOOST_TEST(to(pool.ask(3), SL_TIER_HOST).size() == 3u);
}

BOOST_AUTO_TEST_CASE(nothing_is_demoted_where_an_option_says_so) {
  Pool pool("lru", 20, 20, {{"demote", false}, {"ahead_share", 0.5}});
  pool.path(range(0, 10));
  pool.path(range(20, 25));
  const std::vector<sl_victim> victims = pool.ask(3, 20, 2);
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{24, 23, 9, 8, 7}));
}

BOOST_AUTO_TEST_CASE(a_full_host_makes_room_for_what_is_demoted) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.04}});
  pool.path({100, 101, 102});
  pool.path({103, 104});  // 105 is free
  for (std::uint32_t b = 0; b < 20; ++b) pool.path({b});
  const std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{102, 101, 100, 0, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 3, 4, 5}));
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(victims[i].reason == kMadeRoom);
}

// A swapped sequence holds a host block: nothing above it can leave. What finds no room is not demoted.
BOOST_AUTO_TEST_CASE(a_host_that_others_hold_takes_fewer) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.04}});
  pool.path({100, 101, 102});
  pool.tables.blocks[102].refs = 1;
  pool.path({103, 104, 105});
  pool.tables.blocks[104].refs = 1;
  for (std::uint32_t b = 0; b < 20; ++b) pool.path({b});
  const std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{105, 0, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{2});
  pool.tables.blocks[102].refs = 0;
  pool.told(SL_BLOCK_IDLE, 102);  // it was let go; those above it were idle all along
  check_rules(pool, pool.ask(2), 100);
}

BOOST_AUTO_TEST_CASE(need_in_the_host_comes_before_demotions) {
  Pool pool("lru", 100, 4, {{"ahead_share", 0.02}});
  pool.path({100, 101, 102, 103});
  pool.path(range(0, 10));
  std::vector<sl_victim> victims = pool.ask(0, 0, 3);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 100}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{9});  // the fourth host block
  victims = pool.ask(1, 0, 4);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 100, 9}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});
}

// In the host a block may be idle for longer than one below it, which a copy or a swapped sequence held.
BOOST_AUTO_TEST_CASE(a_host_block_follows_those_below_it) {
  for (const std::uint32_t need : {1u, 2u, 3u}) {
    Pool pool("lru", 20, 4, {{"demote", false}});
    pool.path({20, 21, 22});
    pool.told(SL_BLOCK_HIT, 22);
    pool.told(SL_BLOCK_IDLE, 22);
    const Blocks all{22, 21, 20};
    BOOST_TEST(to(pool.ask(0, 0, need), SL_TIER_NONE) == Blocks(all.begin(), all.begin() + need));
  }
}

// The core expects that 3 host blocks will be needed: they are left free, beside those that demotions take.
BOOST_AUTO_TEST_CASE(what_will_be_needed_in_the_host_is_left_free) {
  Pool pool("lru", 100, 6, {{"ahead_share", 0.02}});
  pool.path({100, 101, 102, 103});  // 104 and 105 are free
  pool.path(range(0, 10));
  pool.host_ahead(3);
  const std::vector<sl_victim> victims = pool.ask(1);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{103, 102, 101, 9}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{8, 7}));
  BOOST_TEST(to(pool.ask(0, 0, 2), SL_TIER_NONE) == (Blocks{103, 102, 101, 100}));  // all there are
}

// 2, 1, 0 have blocks in the host below them: 13, 12 are dropped for them, until there are no others.
BOOST_AUTO_TEST_CASE(a_block_with_host_blocks_below_it_is_dropped_last) {
  Pool pool("lru", 20, 20, {{"ahead_share", 0.1}});
  pool.path({0, 1, 2, 20, 21});
  pool.path({10, 11, 12, 13});
  std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 1}));
  victims = pool.ask(6);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12, 11, 10, 2, 1}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{0});
}

// A demoted block leaves the lists with the event that names the host block it became.
BOOST_AUTO_TEST_CASE(what_was_demoted_is_not_named_again) {
  Pool pool("lru", 20, 20, {{"ahead_share", 0.1}});
  pool.path(range(0, 4));
  pool.path(range(10, 14));
  BOOST_TEST(to(pool.ask(1), SL_TIER_HOST) == (Blocks{2, 1}));
  // Taken: 3 is gone, 2 and 1 became 20 and 21, whose copies are pending.
  pool.told(SL_BLOCK_GONE, 3);
  for (const auto& [from, host] : {std::pair{2u, 21u}, std::pair{1u, 20u}}) {
    pool.tables.blocks[host] = pool.tables.blocks[from];
    pool.tables.blocks[host].tier = SL_TIER_HOST;
    pool.tables.blocks[host].refs = 1;
    pool.tables.blocks[from] = {};
    pool.told(SL_BLOCK_MOVED, host, from);
  }
  pool.tables.blocks[3] = {};
  pool.tables.blocks[0].cached_children = 0;
  pool.tables.blocks[0].host_children = pool.tables.blocks[20].host_children = 1;
  pool.tables.blocks[21].parent = 20;
  pool.tables.blocks[20].cached_children = 1;
  pool.tables.blocks[21].cached_children = 0;
  pool.tables.nodes[1].device_blocks = 1;
  pool.tables.nodes[1].host_blocks = 2;
  pool.host_taken(18);  // no other is free
  std::vector<sl_victim> victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == Blocks{});  // nor can any be made so
  for (const std::uint32_t host : {21u, 20u}) {       // the copies ended, leaf first
    pool.tables.blocks[host].refs = 0;
    pool.told(SL_BLOCK_IDLE, host);
  }
  victims = pool.ask(2);
  BOOST_TEST(to(victims, SL_TIER_NONE) == (Blocks{21, 20, 13, 12}));
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{0, 11}));
}

BOOST_AUTO_TEST_CASE(slru_demotes_in_the_order_of_its_segments) {
  Pool pool("slru", 20, 20, {{"ahead_share", 0.2}});
  pool.path({0});
  pool.told(SL_BLOCK_HIT, 0);
  pool.told(SL_BLOCK_IDLE, 0);  // protected
  pool.path({1});
  pool.path({2});
  pool.told(SL_BLOCK_MOVED, 3, 25);  // came back from the host: hit
  pool.path({3});
  pool.events.erase(std::prev(pool.events.end(), 2));  // its INSERTED
  pool.path({4});
  const std::vector<sl_victim> victims = pool.ask(1);
  BOOST_TEST(to(victims, SL_TIER_NONE) == Blocks{1});
  BOOST_TEST(to(victims, SL_TIER_HOST) == (Blocks{2, 4, 0, 3}));
  BOOST_TEST(victims.front().reason == SL_REASON_PLUGIN);     // probation
  BOOST_TEST(victims.back().reason == SL_REASON_PLUGIN + 3);  // demoted
}
BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
