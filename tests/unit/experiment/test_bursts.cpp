// Bursts move arrivals, and nothing else: rate, order and the periods' borders stay.
#include <algorithm>

#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;

bool in_burst(std::uint64_t at_ns, double every_s, double length_s) {
  const double at_s = static_cast<double>(at_ns % ns_of(every_s)) * 1e-9;
  return at_s >= every_s - length_s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bursts)

// Of 60 s the last 10 at four times the rate: 40 of 90 parts of the arrivals, so the burst begins at 50/90 of the period.
BOOST_AUTO_TEST_CASE(a_period_is_two_straight_pieces) {
  const BurstClock clock({60, 10, 4});
  BOOST_TEST(clock(0) == 0u);
  BOOST_TEST(clock(kSecond_ns) == 1'500'000'000u);
  BOOST_TEST(clock(20 * kSecond_ns) == 30 * kSecond_ns);
  BOOST_TEST(clock(60 * kSecond_ns * 50 / 90) == 50 * kSecond_ns);
  BOOST_TEST(clock(60 * kSecond_ns - 3 * kSecond_ns) == 60 * kSecond_ns - 1'125'000'000u);
  BOOST_TEST(clock(60 * kSecond_ns) == 60 * kSecond_ns);
  BOOST_TEST(clock(61 * kSecond_ns) == 61'500'000'000u);
}

BOOST_AUTO_TEST_CASE(without_bursts_nothing_moves) {
  for (const config::Bursts& none : {config::Bursts{}, config::Bursts{10, 3, 1}})
    for (const std::uint64_t at :
         {std::uint64_t{0}, std::uint64_t{1}, 12'345'678'901u, 987'654'321'987'654'321u})
      BOOST_TEST(BurstClock(none)(at) == at);
}

// Ends that no double holds exactly, up to a year of nanoseconds.
BOOST_AUTO_TEST_CASE(order_and_periods_are_kept) {
  const Draws draws(1, "times");
  for (const config::Bursts& bursts : {config::Bursts{0.7, 0.1, 3.3}, config::Bursts{7, 6.999999999, 1e6}}) {
    const BurstClock clock(bursts);
    const std::uint64_t every_ns = ns_of(bursts.every_s);
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      const std::uint64_t at = draws.uniform(i, 0, 31'536'000 * kSecond_ns),
                          period = at / every_ns * every_ns;
      const std::uint64_t moved = clock(at);
      BOOST_REQUIRE_GE(moved, period);
      BOOST_REQUIRE_LE(moved, period + every_ns);
      BOOST_REQUIRE_LE(clock(at), clock(at + 1));
      BOOST_REQUIRE_EQUAL(clock(period), period);
      BOOST_REQUIRE_LE(clock(period + every_ns - 1), period + every_ns);
    }
  }
}

BOOST_AUTO_TEST_CASE(arrivals_of_a_stream_bunch_and_keep_their_rate) {
  config::Workload config = synthetic_config(40'000);
  const auto plain = specs_of(config);
  config.bursts = {20, 4, 5};
  const auto specs = specs_of(config);
  std::size_t bunched = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    bunched += in_burst(specs[i].arrival_ns, 20, 4) ? 1 : 0;
    if (i > 0) BOOST_REQUIRE_GE(specs[i].arrival_ns, specs[i - 1].arrival_ns);
    BOOST_REQUIRE(specs[i].pieces == plain[i].pieces);
    BOOST_REQUIRE_EQUAL(specs[i].arrival_ns / ns_of(20), plain[i].arrival_ns / ns_of(20));
  }
  BOOST_CHECK_CLOSE(static_cast<double>(bunched) / 40'000, 20.0 / 36, 2);  // 4 s x 5 of 16 s + 4 s x 5
}

// Its own bunches differ from hour to hour, so only the count in each period can be told exactly.
BOOST_AUTO_TEST_CASE(arrivals_of_a_trace_bunch_too_in_the_time_of_the_run) {
  config::Workload config = trace_config("azure2023_conv.csv");
  config.rate_scale = 2;
  const auto plain = specs_of(config);
  config.bursts = {50, 5, 8};
  const auto specs = specs_of(config);
  std::size_t before = 0, bunched = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    BOOST_REQUIRE_EQUAL(specs[i].arrival_ns / ns_of(50), plain[i].arrival_ns / ns_of(50));
    before += in_burst(plain[i].arrival_ns, 50, 5) ? 1 : 0;
    bunched += in_burst(specs[i].arrival_ns, 50, 5) ? 1 : 0;
  }
  const auto share = [&](std::size_t count) {
    return static_cast<double>(count) / static_cast<double>(specs.size());
  };
  BOOST_CHECK_CLOSE(share(before), 0.1, 15);
  BOOST_CHECK_CLOSE(share(bunched), 40.0 / 85, 5);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
