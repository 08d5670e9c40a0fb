// What a calibration file may say, and where one is looked for.
#include "config/calibration.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>

namespace config = serveloop::config;
namespace {

std::string folder() {
  const char* root = std::getenv("SERVELOOP_SOURCE_ROOT");
  BOOST_REQUIRE_MESSAGE(root != nullptr, "SERVELOOP_SOURCE_ROOT names the source tree");
  return std::string(root) + "/configs/calibrations";
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

BOOST_AUTO_TEST_CASE(what_a_plain_sum_needs_not_may_be_left_out) {
  const std::string whole = std::string(kWhole) + "policy_us = 1\n";
  const auto plain = config::parse_calibration(whole, "c.toml");
  BOOST_REQUIRE(plain.has_value());
  BOOST_TEST(plain->prefill_step_us == 0);
  BOOST_TEST(plain->decode_token_us == 0);
  BOOST_TEST(plain->overlap == 0);
  BOOST_TEST(config::parse_calibration(whole + "overlap = 1.5", "c.toml").error().message() ==
             "c.toml:15:1: overlap: expected 0 to 1, found number 1.5");
}

BOOST_AUTO_TEST_CASE(those_shipped_are_whole_and_named_as_their_files) {
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder())) {
    const auto read = config::load_calibration(file.path().string());
    BOOST_REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message()));
    BOOST_TEST(read->name == file.path().stem().string());
    ++files;
  }
  BOOST_TEST(files >= 6u);
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
                 .find(", cpu-smollm2-135m, h100-llama3.1-8b") != std::string::npos);
  BOOST_TEST(config::find_calibration("/no/where.toml", {}).error().message() ==
             "simulated.calibration: expected a file, found none at /no/where.toml");
}

BOOST_AUTO_TEST_SUITE_END()
