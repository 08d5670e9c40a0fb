// dlpm: hits nearly as much as lpm, and the service of two tenants who always have somebody waiting stays together, which
// lpm's does not.
//
// The bound: what is left of a tenant's quantum is at most Q when it got one; an admission takes at most
// input_weight * L from what is above 0, and what runs then takes at most output_weight * M more, M the output tokens that a
// running batch may come to. Both tenants get as many quanta while both wait. So over any stretch of time their service
// grows apart by at most 2 * (Q + input_weight * L + output_weight * M).
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "run_policy.hpp"
#include "tenant_service.hpp"

namespace serveloop::test {

namespace {

constexpr double kInput = 1, kOutput = 2, kQuantum = 2048, kPrompt = 700, kMostOutput = 48, kSequences = 16;
constexpr double kBound = 2 * (kQuantum + kInput * kPrompt + kOutput * kSequences * kMostOutput);

// Sixty prefixes of 40 blocks for each tenant, of which the pool holds a fifth; all come at once, of the first tenant
// three times as many.
const std::string kBacklog = R"(
[engine]
token_budget = 2048
max_sequences = 16
context_tokens = 2048
kv_blocks = 1500
lag = 1
[tenants.a]
weight = 1
[tenants.b]
weight = 1
[workload]
source = "synthetic"
rate_per_second = 1000000
requests = 2400
tenants = { a = 3, b = 1 }
shared_prefix = { groups = 60, tokens = 640 }
seed = 4
[workload.prompt]
distribution = "fixed"
mean_tokens = 700
[workload.output]
distribution = "uniform"
min_tokens = 16
max_tokens = 48
)";

std::uint64_t preemptions = 0;  // of all runs since it was set to 0

struct Served {
  double hit_rate, gap;
};
Served served(const std::string& scheduler, const std::string& options = "", int seed = 4,
              int blocks = 1500) {
  TenantService service(kInput, kOutput, false);
  experiment::RunOptions run_options;
  run_options.stepped = [&](const engine::Engine& engine) { service.stepped(engine); };
  const PolicyRun run =
      run_policy(kBacklog,
                 {"policy.scheduler={plugin=\"" + scheduler + "\",options={" + options + "}}",
                  fmt::format("workload.seed={}", seed), fmt::format("engine.kv_blocks={}", blocks)},
                 run_options);
  BOOST_TEST(run.ends.size() == 2400u);
  preemptions += run.summary.counters.preemptions;
  BOOST_TEST(service.steps() > 500u);
  return {hit_rate(run), service.gap()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dlpm)

BOOST_AUTO_TEST_CASE(hits_as_lpm_and_is_fair) {
  for (const int blocks : {1500, 500})
    BOOST_TEST_CONTEXT(blocks << " blocks") {  // a fifth of all prefixes, or so few that some yield
      int held = 0;
      preemptions = 0;
      for (int seed = 1; seed <= 10; ++seed) {
        const Served fair = served("dlpm", "quantum=2048", seed, blocks),
                     lpm = served("lpm", "", seed, blocks), fcfs = served("fcfs", "", seed, blocks);
        BOOST_TEST_MESSAGE(fmt::format(
            "{} blocks, seed {}: hit rate {:.3f}, {:.3f} and {:.3f}; gap {}, {} and {}, bound {}", blocks,
            seed, fair.hit_rate, lpm.hit_rate, fcfs.hit_rate, fair.gap, lpm.gap, fcfs.gap, kBound));
        held += fair.hit_rate >= 0.95 * lpm.hit_rate && fcfs.hit_rate < 0.95 * lpm.hit_rate &&
                fair.gap <= kBound && lpm.gap > kBound;
      }
      BOOST_TEST(held >= 9);
      if (blocks == 500) BOOST_TEST(preemptions > 0u);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
