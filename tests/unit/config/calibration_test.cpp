// The shipped calibrations reproduce the measurements they were fitted to.
#include "config/calibration.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>

namespace config = serveloop::config;
using config::Calibration;

namespace {

std::string folder() {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "SERVELOOP_SOURCE_ROOT names the source tree");
  return std::string(root) + "/configs/calibrations";
}

Calibration shipped(const std::string& name) {
  const auto path = config::find_calibration(name, {"/nowhere", folder()});
  BOOST_REQUIRE_MESSAGE(path.has_value(), (path ? "" : path.error().message()));
  const auto loaded = config::load_calibration(*path);
  BOOST_REQUIRE_MESSAGE(loaded.has_value(), (loaded ? "" : loaded.error().message()));
  BOOST_TEST(loaded->name == name);
  return *loaded;
}

double decode_ms(const Calibration& c, double sequences, double context) {
  return c.step_us(sequences, sequences * context, 0, 0) / 1e3;
}

// One step of `prompts` whole prompts.
double prefill_ms(const Calibration& c, double prompts, double tokens) {
  return c.step_us(0, 0, prompts * tokens, prompts * Calibration::prefill_pairs(0, tokens)) / 1e3;
}

const char* const kWhole = R"(
device = "d"
source = "s"
step_fixed_us = 1
decode_sequence_us = 1
decode_context_ns = 1
prefill_token_us = 1
prefill_context_ns = 1
kv_bytes_per_token = 1
kv_memory = "1GiB"
swap_gb_per_s = 1
host_step_us = 1
host_sequence_us = 1
)";

}  // namespace

BOOST_AUTO_TEST_SUITE(calibrations)

BOOST_AUTO_TEST_CASE(h100_within_2_1_percent) {
  const Calibration c = shipped("h100-llama3.1-8b");
  const double rows[][2] = {{1, 6.49}, {8, 6.63}, {32, 7.15}, {128, 9.23}, {256, 12.59}};
  for (const auto& [sequences, ms] : rows)
    BOOST_TEST(decode_ms(c, sequences, 256) == ms, boost::test_tools::tolerance(0.021));
  BOOST_TEST(8192e3 / prefill_ms(c, 1, 8192) == 36973, boost::test_tools::tolerance(0.001));
  BOOST_TEST(8192e3 / prefill_ms(c, 8, 1024) == 41650, boost::test_tools::tolerance(0.001));
  BOOST_TEST(c.kv_bytes_per_token == 2U * 8 * 128 * 32 * 2);
  BOOST_TEST(c.kv_memory_bytes == 55ULL << 30);
}

BOOST_AUTO_TEST_CASE(cpu_within_8_percent) {
  const Calibration c = shipped("cpu-smollm2-135m");
  const double rows[][2] = {{1, 132}, {16, 348}, {32, 424}};
  for (const auto& [sequences, tokens_per_s] : rows) {
    BOOST_TEST(decode_ms(c, sequences, 128) == sequences * 1e3 / tokens_per_s,
               boost::test_tools::tolerance(0.08));
  }
  BOOST_TEST(512e3 / prefill_ms(c, 1, 512) == 551, boost::test_tools::tolerance(0.001));
  BOOST_TEST(c.kv_bytes_per_token == 23040U);
}

BOOST_AUTO_TEST_CASE(chunks_of_a_prompt_attend_to_as_much_as_the_whole) {
  double chunked = 0;
  for (int at = 0; at < 8192; at += 512) chunked += Calibration::prefill_pairs(at, 512);
  BOOST_TEST(chunked == Calibration::prefill_pairs(0, 8192));
}

BOOST_AUTO_TEST_CASE(bad_files_give_their_line) {
  BOOST_TEST(config::parse_calibration(kWhole, "c.toml").error().message() ==
             "c.toml: policy_us: expected a value, found none");
  BOOST_TEST(config::parse_calibration(std::string(kWhole) + "policy_uss = 1", "c.toml").error().message() ==
             "c.toml:14:1: unknown key 'policy_uss'; did you mean 'policy_us'?");
  BOOST_TEST(config::parse_calibration(std::string(kWhole) + "policy_us = -1", "c.toml").error().message() ==
             "c.toml:14:1: policy_us: expected 0 to 1000000000, found integer -1");
  BOOST_TEST(config::parse_calibration(std::string(kWhole) + "policy_us = 'a'", "c.toml").error().message() ==
             "c.toml:14:1: policy_us: expected a number, found string 'a'");
}

BOOST_AUTO_TEST_CASE(a_missing_one_lists_those_found_and_where_it_looked) {
  const auto missing = config::find_calibration("h100-llama3-8b", {folder()});
  BOOST_REQUIRE(!missing.has_value());
  BOOST_TEST(missing.error().message() ==
             "simulated.calibration: expected the name of a calibration, or a path, found 'h100-llama3-8b'; "
             "did you mean "
             "'h100-llama3.1-8b'? (looked in " +
                 folder() + ")");
  BOOST_TEST(config::find_calibration("colour", {folder()})
                 .error()
                 .message()
                 .find("known: cpu-smollm2-135m, h100-llama3.1-8b") != std::string::npos);
  BOOST_TEST(config::find_calibration("/no/where.toml", {}).error().message() ==
             "simulated.calibration: expected a file, found none at /no/where.toml");
}

BOOST_AUTO_TEST_SUITE_END()
