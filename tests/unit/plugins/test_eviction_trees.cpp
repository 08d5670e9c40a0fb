// Eviction policies on random trees: whoever leaves, an answer keeps the core's rules.
#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "eviction_pool.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(eviction_trees)

// Random trees over both tiers, some blocks in use: every answer keeps the rules, is as long as it must be, and asks for no
// more demotions than there is room for.
BOOST_AUTO_TEST_CASE(answers_on_random_trees_keep_the_rules) {
  std::uint64_t demoted = 0, made_room = 0;
  for (const char* plugin : {"lru", "slru", "lfu", "gdsf", "sieve", "s3fifo", "arc", "retention"})
    BOOST_TEST_CONTEXT(plugin)
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::uint64_t draws = 0;
    const auto draw = [&](std::uint64_t n) { return static_cast<std::uint32_t>(mix(seed, ++draws) % n); };
    Pool pool(plugin, 60, 40, {{"ahead_share", 0.2}});
    std::uint32_t device = 0, host = 60;
    while (device < 50 && host < 95) {
      Blocks blocks;
      for (std::uint32_t i = draw(6); i > 0; --i) blocks.push_back(device++);
      for (std::uint32_t i = draw(5); i > 0; --i) blocks.push_back(host++);
      if (blocks.empty()) continue;
      pool.path(blocks);
      // A use holds all above it on the device; a swapped sequence holds host blocks of any place.
      const std::uint32_t held = draw(4) == 0 ? draw(static_cast<std::uint32_t>(blocks.size())) : 0;
      for (std::uint32_t i = 0; i < held; ++i)
        if (blocks[i] < 60) pool.tables.blocks[blocks[i]].refs = 1;
      if (blocks.back() >= 60 && draw(4) == 0) pool.tables.blocks[blocks.back()].refs = 1;
    }
    const std::uint32_t need = draw(12), host_need = draw(3) == 0 ? draw(6) : 0;
    const std::vector<sl_victim> victims = pool.ask(need, draw(20), host_need);
    check_rules(pool, victims, 60);
    std::uint32_t dropped = 0, from_host = 0, to_host = 0;
    for (const sl_victim& victim : victims) {
      dropped += victim.block < 60 && victim.to == SL_TIER_NONE;
      from_host += victim.block >= 60;
      to_host += victim.to == SL_TIER_HOST;
    }
    const sl_tier* tier = pool.tables.raw().tier;
    BOOST_REQUIRE_EQUAL(dropped, std::min(need, tier[SL_TIER_DEVICE].evictable));
    BOOST_REQUIRE_LE(to_host + host_need, from_host + (host_need > 0 ? host_need : tier[SL_TIER_HOST].free));
    demoted += to_host, made_room += from_host;
  }
  BOOST_TEST(demoted >= 1000u);
  BOOST_TEST(made_room >= 100u);
}
BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
