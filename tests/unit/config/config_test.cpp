// What a good file gives: defaults, paths, overrides, gates.
#include "config/config.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "config/schema.hpp"

namespace config = serveloop::config;
using config::Config;

namespace {

Config good(std::string_view text, const std::vector<config::Override>& overrides = {}) {
  auto parsed = config::parse(text, "x.toml", "/folder", overrides);
  BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message()));
  return *parsed;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(good_input)

BOOST_AUTO_TEST_CASE(an_empty_file_is_the_default) { BOOST_TEST((good("") == Config())); }

BOOST_AUTO_TEST_CASE(sizes_take_units) {
  BOOST_TEST(*good("[engine]\nkv_memory = '4GiB'").engine.kv_memory_bytes == 4ULL << 30);
  BOOST_TEST(*good("[engine]\nkv_memory = '1.5 MiB'").engine.kv_memory_bytes == 3ULL << 19);
  BOOST_TEST(*good("[engine]\nkv_memory = 4096").engine.kv_memory_bytes == 4096U);
  BOOST_TEST(good("", {"engine.host_kv_memory=80GB"}).engine.host_kv_memory_bytes == 80000000000ULL);
  for (const char* wrong : {"-1GiB", "GiB", "1e3GiB", "99999999999TiB", "1GiBs", "inf", "0x10"}) {
    BOOST_TEST(!config::parse_bytes(wrong).has_value());
  }
}

BOOST_AUTO_TEST_CASE(paths_are_taken_from_the_files_folder) {
  const Config c = good(
      "[policy]\nsearch = ['plugins', '/abs', '../up']\nscheduler = './mine/policy.so'\neviction = 'slru'\n"
      "[workload]\ntrace = 't/a.csv'\n[simulated]\ncalibration = 'c/x.toml'\n[observe]\nlog = 'run.slog'\n");
  BOOST_TEST(c.policy.search == (std::vector<std::string>{"/folder/plugins", "/abs", "/up"}),
             boost::test_tools::per_element());
  BOOST_TEST(c.policy.scheduler.plugin == "/folder/mine/policy.so");
  BOOST_TEST(c.policy.eviction.plugin == "slru");
  BOOST_TEST(good("[policy]\nscheduler = 'mine.so'").policy.scheduler.plugin == "mine.so");  // an id
  BOOST_TEST(c.workload.trace == "/folder/t/a.csv");
  BOOST_TEST(c.workload.source == "trace");
  BOOST_TEST(c.workload.format == "azure");
  BOOST_TEST(c.simulated.calibration == "/folder/c/x.toml");
  BOOST_TEST(c.observe.log == "/folder/run.slog");
}

BOOST_AUTO_TEST_CASE(a_path_in_an_override_is_taken_from_the_working_directory) {
  const Config c = good("[workload]\ntrace = 'a.csv'", {"workload.trace=b.jsonl", "policy.scheduler=./x.so"});
  BOOST_TEST(c.workload.trace == (std::filesystem::current_path() / "b.jsonl").string());
  BOOST_TEST(c.workload.format == "mooncake");
  BOOST_TEST(c.policy.scheduler.plugin == (std::filesystem::current_path() / "x.so").string());
}

BOOST_AUTO_TEST_CASE(load_reads_a_file_and_finds_its_folder) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("serveloop-config-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.toml") << "[workload]\ntrace = 'a.csv'\n";
  const auto loaded = config::load((folder / "a.toml").string(), {"engine.lag=1"});
  std::filesystem::remove_all(folder);
  BOOST_REQUIRE(loaded.has_value());
  BOOST_TEST(loaded->workload.trace == (folder / "a.csv").string());
  BOOST_TEST(loaded->engine.lag == 1U);
}

BOOST_AUTO_TEST_CASE(an_override_takes_a_plugin_with_its_options_away) {
  const Config c = good("[policy.scheduler]\nplugin = 'sarathi'\noptions = { chunk_tokens = 512 }\n",
                        {"policy.scheduler=fcfs"});
  BOOST_TEST(c.policy.scheduler.plugin == "fcfs");
  BOOST_TEST(c.policy.scheduler.options.entries().empty());
}

BOOST_AUTO_TEST_CASE(options_stay_raw_with_their_places) {
  const Config c =
      good("[policy.scheduler]\nplugin = 'sarathi'\n[policy.scheduler.options]\nchunk_tokens = 512\n");
  BOOST_TEST(*c.policy.scheduler.options.at("chunk_tokens")->as_integer() == 512);
  BOOST_TEST(c.policy.scheduler.options.at("chunk_tokens")->place() == "x.toml:4:1");
}

BOOST_AUTO_TEST_CASE(every_gate_has_its_choice) {
  const Config c = good(
      "[policy]\ngates = ['b', 'a']\n[policy.gate.a]\nplugin = 'token-bucket'\n[policy.gate.unused-one]\n");
  BOOST_TEST(c.policy.gates == (std::vector<std::string>{"b", "a"}), boost::test_tools::per_element());
  BOOST_TEST(c.policy.gate.at("b").plugin == "b");
  BOOST_TEST(c.policy.gate.at("a").plugin == "token-bucket");
}

BOOST_AUTO_TEST_CASE(an_override_below_a_bare_name_keeps_the_name) {
  const Config c = good("[policy]\nscheduler = \"sarathi\"\ngates = [\"hold\"]\ngate.hold = \"./mine\"\n",
                        {"policy.scheduler.options.chunk_budget=64", "policy.gate.hold.options.ms=3"});
  BOOST_TEST(c.policy.scheduler.plugin == "sarathi");
  BOOST_TEST(*c.policy.scheduler.options.find("chunk_budget")->as_integer() == 64);
  BOOST_TEST(c.policy.gate.at("hold").plugin == "/folder/mine");
  BOOST_TEST(*c.policy.gate.at("hold").options.find("ms")->as_integer() == 3);
  const Config other = good("[policy]\nscheduler = \"sarathi\"\n", {"policy.scheduler=fcfs"});
  BOOST_TEST(other.policy.scheduler.plugin == "fcfs");
}

BOOST_AUTO_TEST_CASE(an_override_of_the_pool_replaces_the_files) {
  const Config c = good("[engine]\nkv_memory = '4GiB'", {"engine.kv_blocks=10"});
  BOOST_TEST(!c.engine.kv_memory_bytes.has_value());
  BOOST_TEST(*c.engine.kv_blocks == 10U);
}

BOOST_AUTO_TEST_CASE(rules_keep_their_order_and_are_named) {
  const Config c = good(
      "[[priority.rule]]\ntenant = 'a'\npriority = -5\n[[priority.rule]]\nname = 'long'\nmin_prompt_tokens = "
      "8192\nclass = 2\n");
  BOOST_REQUIRE(c.rules.size() == 2U);
  BOOST_TEST(c.rules[0].name == "rule 1");
  BOOST_TEST(*c.rules[0].priority == -5);
  BOOST_TEST(!c.rules[0].category.has_value());
  BOOST_TEST(c.rules[1].name == "long");
  BOOST_TEST(*c.rules[1].service_class == 2U);
}

BOOST_AUTO_TEST_SUITE_END()
