// What the file of an A/B experiment may say.
#include "config/ab.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

namespace config = serveloop::config;

namespace {

const std::string kTwoArms = "[[arm]]\nname = 'a'\n[[arm]]\nname = 'b'\n";

serveloop::Result<config::AbFile> parse(const std::string& text) {
  return config::parse_ab(text, "ab.toml", "/folder");
}

// The --set options that an arm with this `set` stands for.
std::vector<std::string> overrides_of(const std::string& set) {
  const auto file = parse("[ab]\nbase = 'x.toml'\n[[arm]]\nname = 'a'\n[[arm]]\nname = 'b'\n" + set);
  if (!file) BOOST_FAIL(file.error().message());
  std::vector<std::string> out;
  for (const config::Override& one : file->arms[1].overrides) out.push_back(one.assignment);
  return out;
}

struct Bad {
  std::string text;
  const char* line;
};
std::ostream& operator<<(std::ostream& out, const Bad& bad) { return out << bad.text; }

const std::string kAb = "[ab]\nbase = 'x.toml'\n";
const Bad kBad[] = {
    {kTwoArms, "ab.toml: ab.base: expected the path of a configuration, found none"},
    {kAb, "ab.toml: arm: expected two arms or more, as in [[arm]] name = \"NAME\", found 0"},
    {kAb + "[[arm]]\nname = 'a'\n",
     "ab.toml:3:3: arm: expected two arms or more, as in [[arm]] name = \"NAME\", found 1"},
    {kAb + "[arm]\nname = 'a'\n", "ab.toml:3:2: arm: expected tables, as in [[arm]], found a table"},
    {kAb + "seed = [1]\n" + kTwoArms, "ab.toml:3:1: unknown key 'ab.seed'; did you mean 'seeds'?"},
    {kAb + kTwoArms + "sets = {}\n", "ab.toml:7:1: unknown key 'arm.1.sets'; did you mean 'set'?"},
    {"[abb]\n" + kTwoArms, "ab.toml:1:2: unknown key 'abb'; did you mean 'ab'?"},
    {kAb + "seeds = 3\n" + kTwoArms, "ab.toml:3:1: ab.seeds: expected an array, found integer 3"},
    {kAb + "seeds = [1, -2]\n" + kTwoArms, "ab.toml:3:13: ab.seeds: expected at least 0, found integer -2"},
    {kAb + "seeds = [1, 2, 1]\n" + kTwoArms, "ab.toml:3:1: ab.seeds: expected each seed once, found 1 twice"},
    {kAb + "seeds = [1]\nrepeats = 2\n" + kTwoArms,
     "ab.toml:4:1: ab.repeats: expected one of ab.seeds, ab.repeats and ab.windows, found ab.seeds, "
     "ab.repeats; remove "
     "one of them"},
    {kAb + "windows = [[0, 600], [1200, 600]]\n" + kTwoArms,
     "ab.toml:3:22: ab.windows: expected a start before the end, found [1200, 600]"},
    {kAb + "windows = [0, 600]\n" + kTwoArms,
     "ab.toml:3:12: ab.windows: expected two numbers, as in [0, 600], found integer 0"},
    {kAb + "confidence = 95\n" + kTwoArms,
     "ab.toml:3:1: ab.confidence: expected 0.5 to 0.999, found integer 95"},
    {kAb + "repeats = 0\n" + kTwoArms, "ab.toml:3:1: ab.repeats: expected 1 to 1000, found integer 0"},
    {kAb + "baseline = 'ab'\n[[arm]]\nname = 'fcfs'\n[[arm]]\nname = 'sarathi'\n",
     "ab.toml:3:1: ab.baseline: expected the name of an arm, found 'ab'; known: fcfs, sarathi"},
    {kAb + "[[arm]]\nname = 'a'\n[[arm]]\nname = 'a'\n",
     "ab.toml:6:1: arm.1.name: expected a name of its own, found 'a' twice"},
    {kAb + "[[arm]]\nname = 'a'\n[[arm]]\n",
     "ab.toml: arm.1.name: expected up to 40 of a-z, A-Z, 0-9, '-', '_' and '.', found none"},
    {kAb + "[[arm]]\nname = 'a'\n[[arm]]\nname = '../b'\n",
     "ab.toml:6:1: arm.1.name: expected up to 40 of a-z, A-Z, 0-9, '-', '_' and '.', found '../b'"},
    {kAb + "[[workload]]\nbase = 'y.toml'\n" + kTwoArms,
     "ab.toml:2:1: ab.base: expected none beside [[workload]], found one; state it in each [[workload]]"},
    {"[[workload]]\nname = 'a'\n" + kTwoArms,
     "ab.toml: workload.0.base: expected the path of a configuration, found none"},
    {"[[workload]]\nbase = 'a/x.toml'\n[[workload]]\nbase = 'b/x.toml'\n" + kTwoArms,
     "ab.toml: workload.1.name: expected a name of its own, found 'x' twice"},
    {"[[workload]]\nbase = 'x.toml'\nrepeats = 3\nwindows = [[0, 60]]\n" + kTwoArms,
     "ab.toml:4:1: workload.0.windows: expected one of workload.0.seeds, workload.0.repeats and "
     "workload.0.windows, found workload.0.repeats, workload.0.windows; remove one of them"},
    {kAb + kTwoArms + "set = 'x'\n", "ab.toml:7:1: arm.1.set: expected a table, found string 'x'"},
    {kAb + kTwoArms + "set = { 'workload.seed' = 3 }\n",
     "ab.toml:7:9: arm 'b' sets workload.seed: expected the base's workload, found another; arms are "
     "compared request by "
     "request: change the base, or state seeds or windows in [ab]"},
    {kAb + kTwoArms + "[arm.set.workload]\nrate_scale = 3\n",
     "ab.toml:8:1: arm 'b' sets workload.rate_scale: expected the base's workload, found another; arms are "
     "compared "
     "request by request: change the base, or state seeds or windows in [ab]"},
    {kAb + kTwoArms + "set = { observe.log = 'x.slog' }\n",
     "ab.toml:7:17: arm 'b' sets observe.log: expected no step log, found one; `serveloop simulate` and "
     "`bench` write it, "
     "with the same --set"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(ab)

BOOST_DATA_TEST_CASE(bad_files_give_their_line, boost::unit_test::data::make(kBad), bad) {
  const auto file = parse(bad.text);
  BOOST_REQUIRE(!file.has_value());
  BOOST_TEST(file.error().message() == bad.line);
}

BOOST_AUTO_TEST_CASE(a_whole_file) {
  const auto file = parse(
      "[ab]\nbase = '../base.toml'\nbaseline = 'b'\nwindows = [[0, 60.5], [100, 200]]\nwarmup_s = 5\nblock_s "
      "= 2\n"
      "confidence = 0.9\nresamples = 500\nmetrics = ['first_token_p99_ms']\n" +
      kTwoArms);
  BOOST_REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message()));
  BOOST_TEST(file->baseline == "b");
  BOOST_REQUIRE(file->workloads.size() == 1u);
  const config::AbWorkload& only = file->workloads[0];
  BOOST_TEST(only.name == "");
  BOOST_TEST(only.base == "/base.toml");
  BOOST_REQUIRE(only.windows.size() == 2u);
  BOOST_TEST(only.windows[0].to_s == 60.5);
  BOOST_TEST(only.windows[1].from_s == 100);
  BOOST_TEST(*only.warmup_s == 5);
  BOOST_TEST(*only.block_s == 2);
  BOOST_TEST(file->arms.size() == 2u);
  BOOST_TEST(file->arms[1].place == "ab.toml:12:1");
  const auto plain = parse(kAb + kTwoArms);
  BOOST_TEST(plain->baseline == "a");
  BOOST_TEST(!plain->workloads[0].repeats.has_value());
}

BOOST_AUTO_TEST_CASE(workloads_of_their_own) {
  const auto file = parse(
      "[ab]\nwarmup_s = 5\nblock_s = 2\n[[workload]]\nbase = 'here.toml'\nwindows = [[0, 60]]\n"
      "[[workload]]\nname = 'agents'\nbase = '../there.toml'\nrepeats = 3\nblock_s = 7\n" +
      kTwoArms);
  BOOST_REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message()));
  BOOST_REQUIRE(file->workloads.size() == 2u);
  const config::AbWorkload &first = file->workloads[0], &second = file->workloads[1];
  BOOST_TEST(first.name == "here");
  BOOST_TEST(first.base == "/folder/here.toml");
  BOOST_TEST(first.windows.size() == 1u);
  BOOST_TEST(*first.block_s == 2);
  BOOST_TEST(second.name == "agents");
  BOOST_TEST(second.base == "/there.toml");
  BOOST_TEST(*second.repeats == 3u);
  BOOST_TEST(*second.warmup_s == 5);
  BOOST_TEST(*second.block_s == 7);
}

BOOST_AUTO_TEST_CASE(a_set_is_that_of_the_command_line) {
  using Set = std::vector<std::string>;
  // With dots, in quotes or without, and in tables of its own: one and the same.
  for (const char* form : {"set = { 'policy.scheduler' = 'sarathi', 'engine.lag' = 1 }",
                           "set = { policy.scheduler = 'sarathi', engine.lag = 1 }",
                           "set.policy.scheduler = 'sarathi'\nset.engine.lag = 1",
                           "[arm.set.policy]\nscheduler = 'sarathi'\n[arm.set.engine]\nlag = 1"})
    BOOST_TEST(overrides_of(form) == (Set{"policy.scheduler=\"sarathi\"", "engine.lag=1"}), form);
  // Another plugin comes with its own options, and so does a table of them; a key by itself leaves the others.
  BOOST_TEST(overrides_of("set = { 'policy.eviction' = { plugin = 'lru', options = { a = 1 } } }") ==
             (Set{"policy.eviction={ plugin = \"lru\", options = { a = 1 } }"}));
  BOOST_TEST(overrides_of("set = { policy.scheduler.options.chunk_budget = 16 }") ==
             (Set{"policy.scheduler.options={ chunk_budget = 16 }"}));
  BOOST_TEST(overrides_of("set = { 'policy.scheduler.options.chunk_budget' = 16 }") ==
             (Set{"policy.scheduler.options.chunk_budget=16"}));
  BOOST_TEST(overrides_of("set = { tenants.'a.b'.weight = 2 }") == (Set{"tenants.'a.b'.weight=2"}));
  BOOST_TEST(overrides_of("").empty());
}

BOOST_AUTO_TEST_CASE(paths_count_from_the_files_folder) {
  using Set = std::vector<std::string>;
  BOOST_TEST(overrides_of("set = { 'policy.scheduler' = './mine.so' }") ==
             (Set{"policy.scheduler=\"/folder/mine.so\""}));
  BOOST_TEST(overrides_of("set = { 'policy.scheduler' = { plugin = './mine.so' } }") ==
             (Set{"policy.scheduler={ plugin = \"/folder/mine.so\" }"}));
  BOOST_TEST(overrides_of("set = { 'policy.gate.mine.plugin' = '../mine.so' }") ==
             (Set{"policy.gate.mine.plugin=\"/mine.so\""}));
  BOOST_TEST(overrides_of("set = { 'policy.gate.mine' = '../mine.so' }") ==
             (Set{"policy.gate.mine=\"/mine.so\""}));
  BOOST_TEST(overrides_of("set = { 'policy.search' = ['plugins'] }") ==
             (Set{"policy.search=[\"/folder/plugins\"]"}));
  BOOST_TEST(overrides_of("set = { 'simulated.calibration' = 'h100-llama3.1-8b' }") ==
             (Set{"simulated.calibration=\"h100-llama3.1-8b\""}));
  BOOST_TEST(overrides_of("set = { 'simulated.calibration' = 'mine/h100.toml' }") ==
             (Set{"simulated.calibration=\"/folder/mine/h100.toml\""}));
}

BOOST_AUTO_TEST_SUITE_END()
