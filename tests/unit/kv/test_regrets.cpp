// Evictions that were regretted, against a list of all of them.
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

#include "kv/regrets.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(regrets)

BOOST_AUTO_TEST_CASE(what_comes_back_within_the_window_counts_once) {
  kv::Regrets regrets;
  constexpr std::uint64_t kWindow = kv::Regrets::kWindowNs;
  regrets.entered(5, 0);  // it was never evicted
  regrets.evicted(5, 100);
  regrets.entered(5, 100 + kWindow);
  BOOST_TEST(regrets.count() == 1u);
  regrets.entered(5, 100 + kWindow);
  BOOST_TEST(regrets.count() == 1u);
  regrets.evicted(5, kWindow);
  regrets.entered(5, 2 * kWindow + 1);
  BOOST_TEST(regrets.count() == 1u);
}

BOOST_AUTO_TEST_CASE(counts_and_memory_are_those_of_the_window) {
  std::mt19937_64 draw(11);
  kv::Regrets regrets;
  std::map<kv::Key, std::uint64_t> evicted;  // when last, unless it has entered since
  std::uint64_t now = 0, expected = 0;
  for (int i = 0; i < 100000; ++i) {
    now += draw() % (kv::Regrets::kWindowNs / 200);
    // Keys that meet in the table's first places, as well as spread ones.
    const kv::Key key = draw() % 2 == 0 ? (1 + draw() % 300) << 32 | 7 : 1 + draw() % 2000;
    if (draw() % 2 == 0) {
      regrets.evicted(key, now);
      evicted[key] = now;
      std::erase_if(evicted, [&](const auto& e) { return now - e.second > kv::Regrets::kWindowNs; });
      BOOST_REQUIRE_EQUAL(regrets.remembered(), evicted.size());
    } else {
      regrets.entered(key, now);
      const auto found = evicted.find(key);
      if (found == evicted.end()) continue;
      expected += now - found->second <= kv::Regrets::kWindowNs ? 1 : 0;
      evicted.erase(found);
    }
    BOOST_REQUIRE_EQUAL(regrets.count(), expected);
  }
  BOOST_TEST(expected >= 1000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
