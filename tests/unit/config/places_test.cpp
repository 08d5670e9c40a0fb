// Errors that come up after reading still name the file and the line, or the option.
#include <boost/test/unit_test.hpp>

#include "config/config.hpp"

namespace config = serveloop::config;
using serveloop::Error;

namespace {

const char* const kText =
    "[engine]\nkv_blocks = 5\n[policy]\nscheduler = 'x'\n[workload]\ntrace = 'day.csv'\n[model]\npath = "
    "'/m'\n";

std::string line(const Error& error, const std::vector<config::Override>& overrides = {}) {
  const auto parsed = config::parse(kText, "run.toml", "/folder", overrides);
  return parsed ? parsed->places.placed(error).message() : parsed.error().message();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(places)

BOOST_AUTO_TEST_CASE(an_error_that_opens_with_a_key_gets_its_place) {
  BOOST_TEST(line({"engine.kv_blocks", "a", "b", ""}) ==
             "run.toml:2:1: engine.kv_blocks: expected a, found b");
  BOOST_TEST(line({"policy.scheduler: scheduler 'x' not found", "", "", ""}) ==
             "run.toml:4:1: policy.scheduler: scheduler 'x' not found");
  BOOST_TEST(line({"engine.threads", "a", "", ""}) == "run.toml:1:2: engine.threads: expected a");
  BOOST_TEST(line({"server.port", "a", "", ""}) == "run.toml: server.port: expected a");
}

BOOST_AUTO_TEST_CASE(an_option_is_blamed_and_not_the_file) {
  BOOST_TEST(line({"engine.lag", "a", "", ""}, {"engine.lag=1"}) == "--set engine.lag=1: expected a");
  BOOST_TEST(line({"policy.scheduler: scheduler 'y' not found", "", "", ""}, {"policy.scheduler=y"}) ==
             "--set policy.scheduler=y: scheduler 'y' not found");
  BOOST_TEST(line({"server.port", "a", "", ""}, {{"server.port=1", "--port 1"}}) ==
             "--port 1: server.port: expected a");
}

BOOST_AUTO_TEST_CASE(any_other_error_gets_the_files_name) {
  BOOST_TEST(line({"no room for it", "", "", ""}) == "run.toml: no room for it");
  BOOST_TEST(line({"run.toml:4:1: options.a", "", "", ""}) == "run.toml:4:1: options.a");
  BOOST_TEST(line({"--swap at=3", "", "", ""}) == "--swap at=3");
  const auto no_file = config::parse("", "", "/folder", {"engine.lag=1"});
  BOOST_REQUIRE(no_file.has_value());
  BOOST_TEST(no_file->places.placed({"no room for it", "", "", ""}).message() == "no room for it");
  BOOST_TEST(config::Config().places.placed({"engine.lag", "a", "", ""}).message() ==
             "engine.lag: expected a");
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_told_what_its_path_counts_from) {
  BOOST_TEST(line({"workload.trace", "a file", "none at /folder/day.csv", ""}) ==
             "run.toml:6:1: workload.trace: expected a file, found none at /folder/day.csv; a relative path "
             "counts from "
             "the configuration's folder, /folder: put the file there, or write where it is");
  BOOST_TEST(line({"workload.trace", "a file", "none at /here/b.csv", ""}, {"workload.trace=b.csv"}) ==
             "--set workload.trace=b.csv: expected a file, found none at /here/b.csv; on the command line a "
             "relative "
             "path counts from the working directory");
  BOOST_TEST(line({"model.path", "a file", "none at /m", ""}) ==
             "run.toml:8:1: model.path: expected a file, found none at /m");
}

BOOST_AUTO_TEST_CASE(places_are_no_part_of_the_value) {
  const auto a = config::parse("[engine]\nlag = 1", "a.toml", "/a");
  const auto b = config::parse("", "b.toml", "/b", {"engine.lag=1"});
  BOOST_REQUIRE((a && b));
  BOOST_TEST((*a == *b));
}

BOOST_AUTO_TEST_SUITE_END()
