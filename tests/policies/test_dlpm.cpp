// dlpm: hits nearly as much as lpm, and the service of two tenants who always have somebody waiting stays together, which
// lpm's does not.
//
// The bound: what is left of a tenant's quantum is at most Q when it got one; an admission takes at most
// input_weight * L from what is above 0, and what runs then takes at most output_weight * M more, M the output tokens that a
// running batch may come to. Both tenants get as many quanta while both wait. So over any stretch of time their service
// grows apart by at most 2 * (Q + input_weight * L + output_weight * M).
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

struct Served {
  double hit_rate, gap;
};
Served served(const std::string& scheduler, const std::string& options = "") {
  TenantService service(kInput, kOutput, false);
  experiment::RunOptions run_options;
  run_options.stepped = [&](const engine::Engine& engine) { service.stepped(engine); };
  const PolicyRun run = run_policy(
      kBacklog, {"policy.scheduler={plugin=\"" + scheduler + "\",options={" + options + "}}"}, run_options);
  BOOST_TEST(run.ends.size() == 2400u);
  BOOST_TEST(service.steps() > 500u);
  return {hit_rate(run), service.gap()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dlpm)

BOOST_AUTO_TEST_CASE(hits_as_lpm_and_is_fair) {
  const Served fair = served("dlpm", "quantum=2048"), lpm = served("lpm"), fcfs = served("fcfs");
  BOOST_TEST_MESSAGE("hit rate: dlpm " << fair.hit_rate << ", lpm " << lpm.hit_rate << ", fcfs "
                                       << fcfs.hit_rate << "; gap: " << fair.gap << ", " << lpm.gap << ", "
                                       << fcfs.gap << ", bound " << kBound);
  BOOST_TEST(fair.hit_rate >= 0.95 * lpm.hit_rate);
  BOOST_TEST(fcfs.hit_rate < 0.95 * lpm.hit_rate);
  BOOST_TEST(fair.gap <= kBound);
  BOOST_TEST(lpm.gap > kBound);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
