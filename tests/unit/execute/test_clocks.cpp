// Virtual time moves by its model and by nothing else; real time does not go back.
#include <boost/test/unit_test.hpp>

#include "base/steady_clock.hpp"
#include "base/virtual_clock.hpp"

namespace serveloop::test {

BOOST_AUTO_TEST_SUITE(clocks)

BOOST_AUTO_TEST_CASE(virtual_time_moves_by_its_model) {
  HostModel model;
  model.tokens = {10, 2};
  model.policy = {500, 0.5};
  model.other = {1000, 25};
  VirtualClock clock(model);
  BOOST_TEST(clock.now_ns() == 0u);
  clock.charge(Phase::tokens, 3);
  BOOST_TEST(clock.now_ns() == 16u);
  clock.charge(Phase::policy, 8);
  BOOST_TEST(clock.now_ns() == 520u);
  clock.charge(Phase::other, 2);
  BOOST_TEST(clock.now_ns() == 1570u);
  clock.charge(Phase::idle, 100);
  BOOST_TEST(clock.now_ns() == 1570u);
}

BOOST_AUTO_TEST_CASE(virtual_waits_jump_and_never_go_back) {
  VirtualClock clock;
  clock.wait_until(1000);
  BOOST_TEST(clock.now_ns() == 1000u);
  clock.wait_until(10);
  BOOST_TEST(clock.now_ns() == 1000u);
}

BOOST_AUTO_TEST_CASE(a_delay_hits_the_next_charge_of_its_phase_once) {
  VirtualClock clock;
  clock.delay_next(Phase::policy, 50);
  clock.delay_next(Phase::policy, 7);
  clock.charge(Phase::tokens, 1);
  BOOST_TEST(clock.now_ns() == 0u);
  clock.charge(Phase::policy, 1);
  BOOST_TEST(clock.now_ns() == 57u);
  clock.charge(Phase::policy, 1);
  BOOST_TEST(clock.now_ns() == 57u);
}

BOOST_AUTO_TEST_CASE(real_time_passes) {
  SteadyClock clock;
  const std::uint64_t begun = clock.now_ns();
  BOOST_TEST(begun < 1'000'000'000u);  // 0 is its construction
  clock.charge(Phase::other, 1000);
  clock.wait_until(begun + 2'000'000);
  const std::uint64_t after = clock.now_ns();
  BOOST_TEST(after >= begun + 2'000'000);
  clock.wait_until(begun);  // in the past
  BOOST_TEST(clock.now_ns() >= after);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
