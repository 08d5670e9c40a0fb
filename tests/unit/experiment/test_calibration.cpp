// A calibration's units become the engine's.
#include <boost/test/unit_test.hpp>

#include "experiment/calibration.hpp"

namespace serveloop::experiment::test {

namespace {

config::Calibration some() {
  config::Calibration c;
  c.step_fixed_us = 6420;
  c.decode_sequence_us = 12.2;
  c.decode_context_ns = 43.7;
  c.prefill_token_us = 22.79;
  c.prefill_context_ns = 0.847;
  c.kv_bytes_per_token = 131'072;
  c.swap_gb_per_s = 50;
  c.host_step_us = 2;
  c.host_sequence_us = 0.025;
  c.policy_us = 0.5;
  return c;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(calibration)

BOOST_AUTO_TEST_CASE(costs_are_the_calibrations) {
  const config::Calibration c = some();
  const sl_cost cost = cost_of(c, 16);
  BOOST_TEST(cost.struct_size == sizeof cost);
  const double decode_us = c.step_us(128, 128 * 256, 0, 0);
  BOOST_CHECK_CLOSE(sl_predict_step_ns(&cost, 128, 128 * 256, 0, 0) * 1e-3, decode_us, 1e-9);
  const double prefill_us = c.step_us(0, 0, 8192, config::Calibration::prefill_pairs(0, 8192));
  BOOST_CHECK_CLOSE(sl_predict_prefill_ns(&cost, 0, 8192) * 1e-3, prefill_us, 0.01);
  BOOST_CHECK_CLOSE(sl_predict_swap_ns(&cost, 10), 2 * 10 * 16 * 131'072 / 50.0, 1e-9);
}

BOOST_AUTO_TEST_CASE(no_swap_bandwidth_is_no_swap_cost) {
  config::Calibration c = some();
  c.swap_gb_per_s = 0;
  BOOST_TEST(cost_of(c, 16).swap_block_ns == 0.0);
}

BOOST_AUTO_TEST_CASE(a_steps_host_work_is_charged_once) {
  VirtualClock clock(host_of(some()));
  clock.charge(Phase::policy, 256);
  BOOST_TEST(clock.now_ns() == 500u);
  clock.charge(Phase::other, 256);
  clock.charge(Phase::tokens, 256);
  BOOST_TEST(clock.now_ns() == 500u + 2000u + 256u * 25u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
