// Bad input: each kind gives its one line.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "config/config.hpp"

namespace config = serveloop::config;

#define SIZE_FORM \
  "expected bytes, at least 0, or a size such as \"4GiB\" (KiB, MiB, GiB, TiB, kB, MB, GB, TB)"

namespace {

struct Bad {
  const char* text;
  const char* line;
};
std::ostream& operator<<(std::ostream& out, const Bad& bad) { return out << bad.text; }

const Bad kBad[] = {
    // Unknown keys name the nearest known one.
    {"[engine]\nlagg = 1", "x.toml:2:1: unknown key 'engine.lagg'; did you mean 'lag'?"},
    {"[engin]\nlag = 1", "x.toml:1:2: unknown key 'engin'; did you mean 'engine'?"},
    {"lag = 1", "x.toml:1:1: unknown key 'lag'; did you mean 'engine.lag'?"},
    {"[server]\ntoken_budget = 1",
     "x.toml:2:1: unknown key 'server.token_budget'; did you mean 'engine.token_budget'?"},
    {"[server]\nfoo = 1", "x.toml:2:1: unknown key 'server.foo'; known: host, port"},
    {"[policy.schedular]\nplugin = 'a'",
     "x.toml:1:9: unknown key 'policy.schedular'; did you mean 'scheduler'?"},
    {"[policy.scheduler]\noption = {}",
     "x.toml:2:1: unknown key 'policy.scheduler.option'; did you mean 'options'?"},
    {"[tenants.a]\nkey = 'k'", "x.toml:2:1: unknown key 'tenants.a.key'; did you mean 'keys'?"},
    {"[[priority.rules]]\npriority = 1", "x.toml:1:12: unknown key 'priority.rules'; did you mean 'rule'?"},
    {"[workload.promt]", "x.toml:1:11: unknown key 'workload.promt'; did you mean 'prompt'?"},
    // Wrong types.
    {"[engine]\nlag = '1'", "x.toml:2:1: engine.lag: expected an integer, found string '1'"},
    {"[engine]\nlag = 1.0", "x.toml:2:1: engine.lag: expected an integer, found number 1.0"},
    {"[engine]\nprefix_cache = 1",
     "x.toml:2:1: engine.prefix_cache: expected true or false, found integer 1"},
    {"engine = 1", "x.toml:1:1: engine: expected a table, found integer 1"},
    {"policy.scheduler = 1",
     "x.toml:1:8: policy.scheduler: expected a table, or a plugin's id, found integer 1"},
    {"[policy]\ngates = 'a'",
     "x.toml:2:1: policy.gates: expected an array of strings, found string 'a'; write [\"a\"]"},
    {"[policy.scheduler]\noptions = 1",
     "x.toml:2:1: policy.scheduler.options: expected a table, found integer 1"},
    {"[tenants]\na = 1", "x.toml:2:1: tenants.a: expected a table, found integer 1"},
    {"tenants = 1", "x.toml:1:1: tenants: expected tables, as in [tenants.NAME], found integer 1"},
    {"[priority]\nrule = 1",
     "x.toml:2:1: priority.rule: expected tables, as in [[priority.rule]], found integer 1"},
    {"[model]\npath = 3", "x.toml:2:1: model.path: expected a string, found integer 3"},
    {"[workload]\nwindow = [1]",
     "x.toml:2:1: workload.window: expected two numbers, as in [0, 600], found an array"},
    {"[workload]\ntenants = ['a']",
     "x.toml:2:1: workload.tenants: expected a table of numbers, as in { a = 3, b = 1 }, found an array"},
    // Out of bounds.
    {"[engine]\nlag = 2", "x.toml:2:1: engine.lag: expected 0 to 1, found integer 2"},
    {"[engine]\ntoken_budget = -1",
     "x.toml:2:1: engine.token_budget: expected 1 to 1048576, found integer -1"},
    {"[engine]\nseed = -1", "x.toml:2:1: engine.seed: expected at least 0, found integer -1"},
    {"[workload]\nrate_scale = nan",
     "x.toml:2:1: workload.rate_scale: expected 0.0001 to 10000, found number nan"},
    {"[workload]\nwindow = [10, 5]",
     "x.toml:2:1: workload.window: expected a start before the end, found [10, 5]"},
    {"[engine]\nblock_tokens = 12", "x.toml:2:1: engine.block_tokens: expected a power of two, found 12"},
    {"[engine]\nkv_blocks = 100000001",
     "x.toml:2:1: engine.kv_blocks: expected 1 to 100000000, found integer 100000001"},
    // Choices.
    {"[engine]\nexecutor = 'simulate'",
     "x.toml:2:1: engine.executor: expected simulated | hash | null | cpu | cuda, found string 'simulate'; "
     "did you mean 'simulated'?"},
    // Sizes.
    {"[engine]\nkv_memory = '4 Gigs'", "x.toml:2:1: engine.kv_memory: " SIZE_FORM ", found string '4 Gigs'"},
    {"[engine]\nkv_memory = 1.5", "x.toml:2:1: engine.kv_memory: " SIZE_FORM ", found number 1.5"},
    {"[engine]\nhost_kv_memory = -1", "x.toml:2:1: engine.host_kv_memory: " SIZE_FORM ", found integer -1"},
    {"[engine]\nhost_kv_memory = '-8GiB'",
     "x.toml:2:1: engine.host_kv_memory: " SIZE_FORM ", found string '-8GiB'"},
    // What concerns two keys.
    {"[engine]\nkv_memory = '4GiB'\nkv_blocks = 10",
     "x.toml:3:1: engine.kv_blocks: expected either engine.kv_memory or engine.kv_blocks, found both; remove "
     "one of them"},
    {"[policy.eviction]\nisolation = 'process'",
     "x.toml:2:1: policy.eviction.isolation: expected \"inline\", found \"process\"; isolation is not "
     "available in this "
     "version"},
    {"[policy]\ndeadline_us = 500",
     "x.toml:2:1: policy.deadline_us: expected 0, found 500; a longest time of a policy call is not "
     "available in this version"},
    {"[policy]\nscheduler = ''",
     "x.toml:2:1: policy.scheduler.plugin: expected a plugin's id or path, found an empty string"},
    {"[policy]\ngates = ['my/gate']",
     "x.toml:2:1: policy.gates: expected the id of a gate, found 'my/gate', a path; name it freely, and its "
     "plugin in a table: [policy.gate.NAME] plugin = \"PATH\""},
    {"[policy]\ngates = ['a', 'a']", "x.toml:2:1: policy.gates: expected each gate once, found 'a' twice"},
    {"[policy.gate.hold]\nplugin = 'mine'",
     "x.toml:1:14: policy.gate.hold: expected one of the gates in policy.gates (none), found 'hold'; write "
     "gates = [\"hold\"] in [policy], or remove the table"},
    {"[tenants.a]\nkeys = ['k']\n[tenants.b]\nkeys = ['k']",
     "x.toml:4:1: tenants.b.keys: expected each key once, found one that is also of 'a'"},
    {"[[priority.rule]]\ntenant = 'a'",
     "x.toml:1:1: priority.rule.0: expected a priority or a class, found neither"},
    {"[[priority.rule]]\npriority = 1\n[[priority.rule]]\npriority = 'x'",
     "x.toml:4:1: priority.rule.1.priority: expected an integer, found string 'x'"},
    {"[[priority.rule]]\npriority = 1\nmin_prompt_tokens = 9\nmax_prompt_tokens = 8",
     "x.toml:3:1: priority.rule.0.min_prompt_tokens: expected at most max_prompt_tokens, 8, found 9"},
    {"[workload]\nseed = 3",
     "x.toml:1:2: workload: expected trace = \"PATH\" or source = \"synthetic\", \"sessions\" or "
     "\"programs\", found "
     "neither"},
    {"[workload]\ntrace = 'a.txt'",
     "x.toml:1:2: workload.format: expected azure | mooncake | serveloop | step_log, found none; the name of "
     "the "
     "trace does not tell"},
    {"[workload]\nsource = 'synthetic'",
     "x.toml:1:2: workload.rate_per_second: expected a rate for arrival = \"poisson\", found none"},
    {"[workload]\nsource = 'synthetic'\narrival = 'closed'",
     "x.toml:1:2: workload.concurrency: expected a number of clients for arrival = \"closed\", found none"},
    {"[workload.prompt]\nmin_tokens = 9\nmax_tokens = 8\n[workload]\nsource = 'synthetic'\nrate_per_second = "
     "1",
     "x.toml:2:1: workload.prompt.min_tokens: expected at most max_tokens, 8, found 9"},
    // Keys that would do nothing.
    {"[workload]\ntrace = 'a.csv'\nrequests = 1000",
     "x.toml:3:1: workload.requests: expected none beside a trace, found one; remove it: it is of a "
     "synthetic stream; "
     "`limit` ends a trace early"},
    {"[workload]\ntrace = 'a.csv'\nrate_per_second = 2",
     "x.toml:3:1: workload.rate_per_second: expected none beside a trace, found one; remove it: it is of a "
     "synthetic "
     "stream; `rate_scale` plays a trace faster"},
    {"[workload]\ntrace = 'a.csv'\n[workload.prompt]",
     "x.toml:3:11: workload.prompt: expected none beside a trace, found one; remove it: it is of a synthetic "
     "stream"},
    {"[workload]\nsource = 'synthetic'\nrate_per_second = 2\ntrace = 'a.csv'",
     "x.toml:4:1: workload.trace: expected none beside source = \"synthetic\", found both; remove one of "
     "them; on the "
     "command line, --set 'workload={...}' replaces the whole table"},
    {"[workload]\nsource = 'synthetic'\nrate_per_second = 2\nprompt_scale = 1.0",
     "x.toml:4:1: workload.prompt_scale: expected none beside source = \"synthetic\", found one; remove it: "
     "it is of a "
     "trace"},
    {"[workload]\ntrace = 'a.csv'\ntenants = { a = 0 }",
     "x.toml:3:1: workload.tenants: expected a share above 0, found none"},
    {"[workload]\ntrace = 'a.csv'\nshared_prefix = { groups = 2 }",
     "x.toml:3:1: workload.shared_prefix.tokens: expected at least 1 for prefixes in groups, found 0"},
    {"[workload]\ntrace = 'a.csv'\npredictions = { bias = 2 }",
     "x.toml:3:1: workload.predictions.noise: expected a noise beside bias and share, found none; noise = 0 "
     "predicts exactly"},
    {"[workload]\ntrace = 'a.csv'\nbursts = { every_s = 60, length_s = 60, factor = 2 }",
     "x.toml:3:26: workload.bursts.length_s: expected more than 0 and less than every_s, 60.0, found 60.0"},
    {"[workload]\ntrace = 'a.csv'\nbursts = { factor = 2 }",
     "x.toml:3:1: workload.bursts.every_s: expected a period for bursts, found none"},
    {"[workload]\nsource = 'synthetic'\narrival = 'closed'\nconcurrency = 2\nbursts = { every_s = 2, "
     "length_s = "
     "1, factor = 2 }",
     "x.toml:5:1: workload.bursts: expected none beside arrival = \"closed\", found one; remove it: closed "
     "clients "
     "wait for their answers"},
    {"[workload]\ntrace = 'a.csv'\n[workload.classes.a]\nshare = 0",
     "x.toml:3:11: workload.classes: expected a share above 0, found none"},
    {"[workload]\ntrace = 'a.csv'\ncategories = { x = 1 }\n[workload.classes.a]",
     "x.toml:3:1: workload.categories: expected none beside classes, found one; state `category` in each "
     "class; "
     "without it the class's name is its category"},
    {"[workload]\ntrace = 'a.csv'\ndeadlines = { ttft_ms = 5 }\n[workload.classes.a]",
     "x.toml:3:1: workload.deadlines: expected none beside classes, found one; state the deadlines in each "
     "class"},
    // Sessions and programs.
    {"[workload]\nsource = 'sessions'",
     "x.toml:1:2: workload.rate_per_second: expected a rate at which sessions begin, found none"},
    {"[workload]\nsource = 'sessions'\narrival = 'closed'\nrate_per_second = 1",
     "x.toml:3:1: workload.arrival: expected poisson | gamma for sessions, found \"closed\""},
    {"[workload]\nsource = 'programs'\nrate_per_second = 1",
     "x.toml:1:2: workload.programs: expected a kind of program with a share above 0, found none; add a "
     "table "
     "[workload.programs.NAME]; every key in it has a default"},
    {"[workload]\nsource = 'programs'\nrate_per_second = 1\n[workload.programs.a]\nshare = 0",
     "x.toml:4:11: workload.programs: expected a kind of program with a share above 0, found shares of 0; "
     "add a "
     "table [workload.programs.NAME]; every key in it has a default"},
    {"[workload]\nsource = 'sessions'\nrate_per_second = 1\nrequests = 5",
     "x.toml:4:1: workload.requests: expected none beside source = \"sessions\", found one; remove it: it is "
     "of a "
     "synthetic stream; `count` says how many begin"},
    {"[workload]\nsource = 'sessions'\nrate_per_second = 1\nthink_time_s = 5",
     "x.toml:4:1: workload.think_time_s: expected none beside source = \"sessions\", found one; remove it: "
     "it is of "
     "a synthetic stream; `sessions.think_time_s` is theirs"},
    {"[workload]\nsource = 'programs'\nrate_per_second = 1\n[workload.programs.a]\n[workload.prompt]",
     "x.toml:5:11: workload.prompt: expected none beside source = \"programs\", found one; remove it: it is "
     "of a "
     "synthetic stream"},
    {"[workload]\nsource = 'synthetic'\nrate_per_second = 1\n[workload.programs.a]",
     "x.toml:4:11: workload.programs: expected none beside source = \"synthetic\", found one; remove it: it "
     "is of "
     "programs"},
    // Distributions.
    {"[workload.sessions]\nturns = 'many'",
     "x.toml:2:1: workload.sessions.turns: expected a number or a distribution, as in { mean = 5, cv = 1 }, "
     "found "
     "string 'many'"},
    {"[workload.sessions]\nturns = 0",
     "x.toml:2:1: workload.sessions.turns: expected 1 to 1024, found integer 0"},
    {"[workload.sessions]\nturns = { mean = 5000 }",
     "x.toml:2:11: workload.sessions.turns.mean: expected 1 to 1024, found integer 5000"},
    {"[workload.sessions]\nturns = { cv = 1 }",
     "x.toml:2:1: workload.sessions.turns: expected a mean, or min and max, found not both"},
    {"[workload.sessions]\nturns = { distribution = 'exponential', min = 1 }",
     "x.toml:2:1: workload.sessions.turns: expected a mean for exponential, found none"},
    {"[workload.sessions]\nturns = { distribution = 'exponential', mean = 4, cv = 2 }",
     "x.toml:2:1: workload.sessions.turns.cv: expected none beside distribution = \"exponential\", found "
     "one; "
     "remove it"},
    {"[workload.sessions]\nturns = { min = 4, max = 3 }",
     "x.toml:2:1: workload.sessions.turns.min: expected at most max, 3.0, found 4.0"},
    {"[workload.sessions]\nturns = { men = 4 }",
     "x.toml:2:11: unknown key 'workload.sessions.turns.men'; did you mean 'mean'?"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bad_input)

BOOST_DATA_TEST_CASE(gives_its_line, boost::unit_test::data::make(kBad), bad) {
  const auto parsed = config::parse(bad.text, "x.toml", "/folder");
  BOOST_REQUIRE(!parsed.has_value());
  BOOST_TEST(parsed.error().message() == bad.line);
}

BOOST_AUTO_TEST_CASE(overrides_name_themselves) {
  const auto line = [](const std::vector<config::Override>& overrides) {
    const auto parsed = config::parse("[policy]\nscheduler = 'fcfs'", "x.toml", "/folder", overrides);
    return parsed ? std::string("no error") : parsed.error().message();
  };
  BOOST_TEST(line({"engine.lag=2"}) == "--set engine.lag=2: expected 0 to 1, found integer 2");
  BOOST_TEST(line({"engine.lagg=1"}) ==
             "--set engine.lagg=1: unknown key 'engine.lagg'; did you mean 'lag'?");
  BOOST_TEST(line({"engine"}) == "--set engine: expected KEY=VALUE, as in engine.lag=1, found 'engine'");
  BOOST_TEST(line({"policy.gates=["}) == "--set policy.gates=[: expected a TOML value, found [");
  BOOST_TEST(line({"engine.block_tokens=12"}) ==
             "--set engine.block_tokens=12: expected a power of two, found 12");
  BOOST_TEST(
      line({"policy.scheduler="}) ==
      "--set policy.scheduler=: policy.scheduler.plugin: expected a plugin's id or path, found an empty "
      "string");
  BOOST_TEST(line({"policy.eviction={plugin='lru',isolation='process'}"}) ==
             "--set policy.eviction={plugin='lru',isolation='process'}: policy.eviction.isolation: expected "
             "\"inline\", found \"process\"; isolation is not available in this version");
  BOOST_TEST(line({"workload.trace=a.txt"}) ==
             "--set workload.trace=a.txt: workload.format: expected azure | mooncake | serveloop | step_log, "
             "found none; "
             "the name of the trace does not tell");
  BOOST_TEST(line({{"server.port=70000", "--port 70000"}}) ==
             "--port 70000: server.port: expected 0 to 65535, found integer 70000");
  BOOST_TEST(line({"tenants.shop.weight=0"}) ==
             "--set tenants.shop.weight=...: expected 0.001 to 1000000, found integer 0");
  BOOST_TEST(line({"tenants.a.keys=['sk']", "tenants.b.keys=['sk']"}) ==
             "--set tenants.b.keys=...: expected each key once, found one that is also of 'a'");
}

BOOST_AUTO_TEST_CASE(an_option_for_a_gate_that_does_not_run_says_which_do) {
  const auto line = [](const std::string& gates, const std::vector<config::Override>& overrides) {
    const std::string text = "[policy]\n" + gates + "\n[policy.gate.hold]\nplugin = 'hold'\n";
    const auto parsed = config::parse(text, "x.toml", "/folder", overrides);
    return parsed ? std::string("no error") : parsed.error().message();
  };
  BOOST_TEST(line("gates = ['a']", {}) == "no error");  // switched off
  BOOST_TEST(line("gates = []", {}) == "no error");
  BOOST_TEST(line("", {"policy.gates=['hold']", "policy.gate.hold.options.ms=3"}) == "no error");
  BOOST_TEST(line("gates = ['a', 'b']", {"policy.gate.hold.options.ms=3"}) ==
             "--set policy.gate.hold.options.ms=3: expected one of the gates in policy.gates (a, b), found "
             "'hold'; to run "
             "it, --set 'policy.gates=[\"a\", \"b\", \"hold\"]'");
  BOOST_TEST(line("gates = ['hold']", {"policy.gate.hodl.options.ms=3"}) ==
             "--set policy.gate.hodl.options.ms=3: expected one of the gates in policy.gates (hold), found "
             "'hodl'; did "
             "you mean 'hold'?");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_there_is_named) {
  const auto missing = config::load("/no/such/file.toml");
  BOOST_REQUIRE(!missing.has_value());
  BOOST_TEST(missing.error().message() ==
             "/no/such/file.toml: expected a readable file, found No such file or directory");
  const auto folder = config::load("/");
  BOOST_REQUIRE(!folder.has_value());
  BOOST_TEST(folder.error().message() == "/: expected a readable file, found Is a directory");
}

BOOST_AUTO_TEST_SUITE_END()
