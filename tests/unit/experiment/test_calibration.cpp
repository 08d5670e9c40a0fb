// A calibration's units become the engine's, and the shipped ones reproduce the measurements they were fitted
// to.
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "rig/calibration.hpp"

namespace serveloop::rig::test {

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

config::Calibration shipped(const std::string& name) {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "SERVELOOP_SOURCE_ROOT names the source tree");
  const auto path = config::find_calibration(name, {"/nowhere", std::string(root) + "/configs/calibrations"});
  BOOST_REQUIRE_MESSAGE(path.has_value(), (path ? "" : path.error().message()));
  const auto loaded = config::load_calibration(*path);
  BOOST_REQUIRE_MESSAGE(loaded.has_value(), (loaded ? "" : loaded.error().message()));
  BOOST_TEST(loaded->name == name);
  return *loaded;
}

double decode_ms(const sl_cost& cost, std::uint32_t sequences, std::uint64_t context) {
  return sl_predict_step_ns(&cost, sequences, sequences * context, 0, 0) * 1e-6;
}

// One step of `prompts` whole prompts.
double prefill_s(const sl_cost& cost, std::uint32_t prompts, std::uint32_t tokens) {
  return sl_predict_step_ns(&cost, 0, 0, prompts * tokens, prompts * sl_chunk_pairs(0, tokens)) * 1e-9;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(calibration)

BOOST_AUTO_TEST_CASE(h100_within_2_1_percent) {
  const config::Calibration c = shipped("h100-llama3.1-8b");
  const sl_cost cost = cost_of(c, 16);
  const std::pair<std::uint32_t, double> rows[] = {
      {1, 6.49}, {8, 6.63}, {32, 7.15}, {128, 9.23}, {256, 12.59}};
  for (const auto& [sequences, ms] : rows)
    BOOST_TEST(decode_ms(cost, sequences, 256) == ms, boost::test_tools::tolerance(0.021));
  BOOST_TEST(8192 / prefill_s(cost, 1, 8192) == 36973, boost::test_tools::tolerance(0.001));
  BOOST_TEST(8192 / prefill_s(cost, 8, 1024) == 41650, boost::test_tools::tolerance(0.001));
  BOOST_TEST(c.kv_bytes_per_token == 2U * 8 * 128 * 32 * 2);
  BOOST_TEST(c.kv_memory_bytes == 55ULL << 30);
}

BOOST_AUTO_TEST_CASE(cpu_within_8_percent) {
  const config::Calibration c = shipped("cpu-smollm2-135m");
  const sl_cost cost = cost_of(c, 16);
  const std::pair<std::uint32_t, double> rows[] = {{1, 132}, {16, 348}, {32, 424}};
  for (const auto& [sequences, tokens_per_s] : rows)
    BOOST_TEST(decode_ms(cost, sequences, 128) == sequences * 1e3 / tokens_per_s,
               boost::test_tools::tolerance(0.08));
  BOOST_TEST(512 / prefill_s(cost, 1, 512) == 551, boost::test_tools::tolerance(0.001));
  BOOST_TEST(c.kv_bytes_per_token == 23040U);
}

BOOST_AUTO_TEST_CASE(chunks_of_a_prompt_attend_to_as_much_as_the_whole) {
  double chunked = 0;
  for (std::uint32_t at = 0; at < 8192; at += 512) chunked += sl_chunk_pairs(at, 512);
  BOOST_TEST(chunked == sl_chunk_pairs(0, 8192));
}

BOOST_AUTO_TEST_CASE(costs_are_the_calibrations) {
  const config::Calibration c = some();
  const sl_cost cost = cost_of(c, 16);
  BOOST_TEST(cost.struct_size == sizeof cost);
  const double decode_us = 6420 + 128 * 12.2 + 128 * 256 * 43.7e-3;
  BOOST_CHECK_CLOSE(sl_predict_step_ns(&cost, 128, 128 * 256, 0, 0) * 1e-3, decode_us, 1e-9);
  const double prefill_us = 6420 + 8192 * 22.79 + 8192.0 * 8193 / 2 * 0.847e-3;
  BOOST_CHECK_CLOSE(sl_predict_prefill_ns(&cost, 0, 8192) * 1e-3, prefill_us, 1e-9);
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

}  // namespace serveloop::rig::test
