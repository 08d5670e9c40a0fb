// A written configuration reads back equal, wherever it is read: what a replay rebuilds from.
#include <boost/test/unit_test.hpp>

#include "config/calibration.hpp"
#include "config/config.hpp"
#include "config/schema.hpp"

namespace config = serveloop::config;
using config::Config;

namespace {

const char* const kEverything = R"(
[model]
path = "weights"
random_weights = 42
[engine]
executor = "hash"
kv_blocks = 1234
host_kv_memory = 12345
lag = 1
seed = 9223372036854775807
[policy]
gates = ["token-bucket", "cap"]
search = ["p"]
[policy.gate.token-bucket]
options = { rate = 1.5, burst = { a = [1, 2, "x"] } }
[policy.scheduler]
plugin = "./s.so"
[policy.scheduler.options]
chunk_tokens = 512
deep = { list = [{ k = 1 }, {}] }
[server]
host = "::1"
[observe]
log = "~/x.slog"
[tenants."odd name.x"]
keys = ["k1", "k\"2"]
weight = 0.1
[tenants.b]
[[priority.rule]]
key = ""
priority = -1
[[priority.rule]]
category = "chat"
min_prompt_tokens = 0
max_prompt_tokens = 100
class = 3
[workload]
trace = "t.jsonl"
window = [0.5, 600]
limit = 100
rate_scale = 0.1
tenants = { "odd name.x" = 3, b = 1 }
categories = { chat = 0.3 }
n = 2
[workload.deadlines]
ttft_ms = 200.5
[workload.shared_prefix]
groups = 3
tokens = 100
)";

void reads_back(const Config& c) {
  const std::string text = config::to_toml(c);
  const auto again = config::parse(text, "log", "/elsewhere");
  BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message()));
  BOOST_TEST((*again == c));
  BOOST_TEST(config::to_toml(*again) == text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(round_trip)

BOOST_AUTO_TEST_CASE(of_defaults) { reads_back(Config()); }

BOOST_AUTO_TEST_CASE(of_everything) {
  const auto c = config::parse(kEverything, "x.toml", "/folder");
  BOOST_REQUIRE_MESSAGE(c.has_value(), (c ? "" : c.error().message()));
  reads_back(*c);
}

BOOST_AUTO_TEST_CASE(of_each_workload) {
  for (const char* text :
       {"source = 'synthetic'\narrival = 'closed'\nconcurrency = 8\nthink_time_s = 0.25\nprompt = { "
        "distribution = "
        "'uniform' }",
        "source = 'synthetic'\narrival = 'gamma'\nrate_per_second = 3\ncv = 2", "trace = 'a.csv'",
        "trace = 'a.slog'",
        "source = 'sessions'\nrate_per_second = 3\nsessions = { turns = { mean = 5, cv = 0.5 }, think_time_s "
        "= { "
        "distribution = 'exponential', mean = 2.5, max = 60 } }\ncount = 7",
        "source = 'programs'\nrate_per_second = 3\nbursts = { every_s = 60, length_s = 6, factor = 4 "
        "}\nprograms = { "
        "agent = { stages = { min = 2, max = 8 }, fan_out = 3, history = false }, 'odd name' = {} }",
        "trace = 'a.csv'\npredictions = { noise = 0.5 }\nclasses = { chat = { share = 3, priority = -1, "
        "tenant = 'x', "
        "ttft_ms_per_1k_tokens = 5.5 }, batch = {} }"}) {
    const auto c = config::parse(std::string("[workload]\n") + text, "x.toml", "/folder");
    BOOST_REQUIRE(c.has_value());
    reads_back(*c);
  }
}

// Every key of the schema, set to something else than its default, comes back: no key can be forgotten by the
// writer.
BOOST_AUTO_TEST_CASE(of_each_number) {
  for (const config::Section& section : config::config_schema()) {
    if (section.repeat != config::Repeat::once) continue;
    for (const config::Key& key : section.keys) {
      if (key.kind != config::Kind::plain || key.max == 0) continue;
      Config c;
      const config::Slot slot = key.slot(section.add(&c, ""));
      if (auto* const* number = std::get_if<double*>(&slot)) **number = key.min + (key.max - key.min) / 3;
      if (auto* const* integer = std::get_if<std::uint32_t*>(&slot))
        **integer = static_cast<std::uint32_t>(key.max);
      const std::string path = section.path, name = key.name;
      const bool stream = path == "workload.prompt" || path == "workload.output" || name == "cv" ||
                          name == "think_time_s" || name == "requests";
      if (path.starts_with("workload") && stream)
        c.workload.source = "synthetic", c.workload.rate_per_second = 1;
      else if (path.starts_with("workload"))
        c.workload.source = "trace", c.workload.trace = "/a.csv", c.workload.format = "azure";
      if (c.workload.prompt.min_tokens > 131072) c.workload.prompt.max_tokens = 1 << 24;
      if (c.workload.output.min_tokens > 131072) c.workload.output.max_tokens = 1 << 24;
      if (path == "workload.predictions") c.workload.predictions.noise = 0.5;
      if (path == "workload.bursts") c.workload.bursts = {60, 5, 2};
      if (name == "count")
        c.workload.source = "sessions", c.workload.trace = c.workload.format = "",
        c.workload.rate_per_second = 1;
      if (c.workload.shared_prefix.groups > 0) c.workload.shared_prefix.tokens = 1;
      reads_back(c);
    }
  }
}

BOOST_AUTO_TEST_CASE(of_a_calibration) {
  config::Calibration c{"n", "d", "s", 1, 2.5, 3, 4, 5, 5.5, 6.5, 0.25, 6, 7ULL << 30, 8, 9, 10, 11};
  const auto again = config::parse_calibration(config::to_toml(c), "log");
  BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message()));
  BOOST_TEST((*again == c));
}

BOOST_AUTO_TEST_SUITE_END()
