// What requests ask to be kept is kept, for as long as they ask.
#include <boost/test/unit_test.hpp>

#include "eviction_pool.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(retention)

// The first two blocks of a path are worth 80 for a while after their last use, another path nothing, a third what all are.
BOOST_AUTO_TEST_CASE(retention_keeps_what_requests_ask_for_while_they_ask_for_it) {
  const auto ask = [](std::uint64_t now_ns, std::uint32_t need) {
    Pool pool("retention", 20, 0);
    const sl_retention wishes[] = {{0, 32, 80, 0, 1000}, {0, 64, 0, 0, SL_NEVER}};
    pool.tables.raw().heap = reinterpret_cast<const std::uint8_t*>(wishes);
    for (std::uint32_t i = 0; i < 2; ++i) {
      pool.tables.add(SL_RUNNING);
      pool.tables.requests[i].retention_at = i * sizeof(sl_retention);
      pool.tables.requests[i].retention_count = 1;
    }
    pool.asking = 0;
    pool.path({0, 1, 2});
    pool.asking = SL_NONE;
    pool.path({5, 6});
    pool.asking = 1;
    pool.path({10, 11});
    pool.ask(0);
    pool.tables.raw().now_ns = now_ns;
    return to(pool.ask(need), SL_TIER_NONE);
  };
  BOOST_TEST(ask(999, 7) == (Blocks{11, 10, 2, 6, 5, 1, 0}));
  BOOST_TEST(ask(1000, 7) == (Blocks{11, 10, 2, 1, 0, 6, 5}));  // their time is over: longest idle first
}
BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
