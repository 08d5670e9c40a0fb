// lpm: it hits as much as first come, first served or more, a prefix that several share is computed once, and where it has a
// bound on waiting, nobody waits past it.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "run_policy.hpp"

namespace serveloop::test {

namespace {

// Ten minutes of conversations with long shared prefixes, of a cluster, on one device: more than it can serve.
const std::string kMooncake = R"(
[engine]
token_budget = 8192
max_sequences = 64
context_tokens = 131072
lag = 1
[workload]
trace = "data/traces/mooncake_conversation_trace.jsonl"
window = [0, 600]
seed = 1
)";

constexpr std::uint64_t kTogether = 8, kPrompt = 8200, kPrefix = 8192, kOutput = 16;
// Chunks of 500 tokens, which end amid a block: what one prompt's chunk fills another's does not go on from.
const std::string kTogetherToml = R"(
[engine]
token_budget = 2048
max_sequences = 32
context_tokens = 16384
kv_blocks = 8192
[workload]
source = "synthetic"
rate_per_second = 1000000
requests = 8
shared_prefix = { groups = 1, tokens = 8192 }
[workload.prompt]
distribution = "fixed"
mean_tokens = 8200
[workload.output]
distribution = "fixed"
mean_tokens = 16
)";

// Nineteen of twenty open with one of four prefixes, which stay cached, and are more than can be served by themselves.
const std::string kOverload = R"(
[engine]
token_budget = 2048
max_sequences = 16
context_tokens = 4096
kv_blocks = 4096
lag = 1
[workload]
source = "synthetic"
rate_per_second = 1000000
requests = 1500
shared_prefix = { groups = 4, tokens = 960, share = 0.95 }
seed = 2
[workload.prompt]
distribution = "fixed"
mean_tokens = 1000
[workload.output]
distribution = "fixed"
mean_tokens = 40
)";

std::vector<config::Override> with(const std::string& scheduler, const std::string& options = "") {
  return {"policy.scheduler={plugin=\"" + scheduler + "\",options={" + options + "}}"};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lpm)

BOOST_AUTO_TEST_CASE(hits_on_the_mooncake_trace) {
  for (const char* rate : {"0.3", "0.6"}) BOOST_TEST_CONTEXT("rate " << rate) {
      int held = 0;
      for (int stretch = 0; stretch < 10; ++stretch) {
        const auto at_rate = [&](const std::string& scheduler) {
          std::vector<config::Override> all = with(scheduler);
          all.emplace_back(std::string("workload.rate_scale=") + rate);
          all.emplace_back(fmt::format("workload.window=[{},{}]", 300 * stretch, 300 * stretch + 600));
          return hit_rate(run_policy(kMooncake, all));
        };
        const double lpm = at_rate("lpm"), fcfs = at_rate("fcfs");
        BOOST_TEST_MESSAGE(
            fmt::format("rate {}, stretch {}: hit rate {:.4f} and {:.4f}", rate, stretch, lpm, fcfs));
        held += lpm >= fcfs;
      }
      BOOST_TEST(held >= 9);
    }
}

BOOST_AUTO_TEST_CASE(a_prefix_that_comes_many_times_at_once_is_computed_once) {
  const auto computed = [](const std::vector<config::Override>& how) {
    const PolicyRun run = run_policy(kTogetherToml, how);
    BOOST_TEST(run.ends.size() == kTogether);
    return run.summary.counters.computed_tokens;
  };
  const std::string chunks = "max_prefill_tokens=500";
  const std::uint64_t outputs = kTogether * (kOutput - 1);
  BOOST_TEST(computed(with("lpm", chunks)) == kPrefix + kTogether * (kPrompt - kPrefix) + outputs);
  BOOST_TEST(computed(with("fcfs", chunks)) > kPrefix + kTogether * (kPrompt - kPrefix) + outputs);
  BOOST_TEST(computed(with("lpm", chunks + ",defer=false")) >
             kPrefix + kTogether * (kPrompt - kPrefix) + outputs);
}

// A bound that can be kept at all: twice what the machine needs for who came before, as fcfs shows it. At 1.2 times the rate
// at which fcfs ends requests that all come at once.
BOOST_AUTO_TEST_CASE(nobody_waits_past_the_bound) {
  const PolicyRun all_at_once = run_policy(kOverload, with("fcfs"));
  const double capacity = 1500 / all_at_once.summary.seconds;
  const auto overloaded = [&](const std::string& scheduler, const std::string& options = "") {
    std::vector<config::Override> all = with(scheduler, options);
    all.emplace_back("workload.rate_per_second=" + std::to_string(1.2 * capacity));
    return longest_wait_ns(run_policy(kOverload, all));
  };
  const std::uint64_t in_order = overloaded("fcfs"), bound_ms = 2 * in_order / 1'000'000 + 1;
  const std::uint64_t bound_ns = bound_ms * 1'000'000;
  const std::string bound = "max_wait_ms=" + std::to_string(bound_ms);
  BOOST_TEST(overloaded("lpm") > bound_ns);
  for (const char* scheduler : {"lpm", "dlpm"}) BOOST_TEST(overloaded(scheduler, bound) <= bound_ns);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
