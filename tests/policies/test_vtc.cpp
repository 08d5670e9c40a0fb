// vtc, by Theorem 4.4 of its paper: of two clients who always have somebody waiting, over any stretch of time, neither is
// served more than the other by 2 * max(input_weight * L, output_weight * M), where L is the longest prompt and M the most
// tokens that a running batch holds.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "run_policy.hpp"
#include "tenant_service.hpp"

namespace serveloop::test {

namespace {

constexpr double kInput = 1, kOutput = 2, kLongestPrompt = 256, kMostOutput = 128, kSequences = 16;
constexpr double kBound =
    2 * std::max(kInput * kLongestPrompt, kOutput* kSequences*(kLongestPrompt + kMostOutput));

// What it comes to here: the longest prompt and output of either side. The theorem leaves room for a whole batch.
constexpr double kFound = 2 * (kInput * kLongestPrompt + kOutput * kMostOutput);

// All come at once, of the first tenant three times as many.
const std::string kBacklog = R"(
[engine]
token_budget = 512
max_sequences = 16
context_tokens = 2048
kv_blocks = 1024
lag = 1
[tenants.a]
weight = 1
[tenants.b]
weight = 1
[workload]
source = "synthetic"
rate_per_second = 1000000
requests = 1600
tenants = { a = 3, b = 1 }
seed = 3
[workload.prompt]
distribution = "uniform"
min_tokens = 16
max_tokens = 256
[workload.output]
distribution = "uniform"
min_tokens = 8
max_tokens = 128
)";

std::uint64_t preemptions = 0;  // of all runs since it was set to 0

TenantService served(const std::vector<config::Override>& overrides,
                     const std::vector<rig::PlannedSwap>& swaps = {}) {
  TenantService service(kInput, kOutput, true);
  experiment::RunOptions options;
  options.swaps = swaps;
  options.stepped = [&](const engine::Engine& engine) { service.stepped(engine); };
  const PolicyRun run = run_policy(kBacklog, overrides, options);
  BOOST_TEST(run.ends.size() == 1600u);
  preemptions += run.summary.counters.preemptions;
  BOOST_TEST(service.steps() > 500u);
  return service;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vtc)

BOOST_AUTO_TEST_CASE(two_backlogged_clients_are_served_alike) {
  const TenantService fair = served({"policy.scheduler=vtc"}), fcfs = served({"policy.scheduler=fcfs"});
  BOOST_TEST_MESSAGE("gap: vtc " << fair.gap() << ", fcfs " << fcfs.gap() << ", bound " << kBound);
  BOOST_TEST(fair.gap() <= kFound);
  BOOST_TEST(fcfs.gap() > kBound);
}

// On other seeds, and in a pool so small that sequences yield: what they had they have again without being charged.
BOOST_AUTO_TEST_CASE(on_ten_seeds_with_memory_to_spare_and_without) {
  for (const char* blocks : {"1024", "200"}) BOOST_TEST_CONTEXT(blocks << " blocks") {
      int held = 0;
      preemptions = 0;
      for (int seed = 1; seed <= 10; ++seed) {
        const auto gap = [&](const char* scheduler) {
          return served({std::string("policy.scheduler=") + scheduler, fmt::format("workload.seed={}", seed),
                         std::string("engine.kv_blocks=") + blocks})
              .gap();
        };
        const double fair = gap("vtc"), fcfs = gap("fcfs");
        BOOST_TEST_MESSAGE(
            fmt::format("{} blocks, seed {}: gap {} and {}, bound {}", blocks, seed, fair, fcfs, kBound));
        held += fair <= kBound && fcfs > kBound;
      }
      BOOST_TEST(held >= 9);
      if (blocks == std::string("200")) BOOST_TEST(preemptions > 0u);
    }
}

BOOST_AUTO_TEST_CASE(by_weight) {
  const TenantService fair = served({"policy.scheduler=vtc", "tenants.b.weight=2"});
  BOOST_TEST(fair.gap() <= kBound);
  BOOST_TEST(served({"policy.scheduler=fcfs", "tenants.b.weight=2"}).gap() > kBound);
}

// Its counters outlive it: a successor that began with none would go on from a gap that it does not see.
BOOST_AUTO_TEST_CASE(across_hot_swaps) {
  std::vector<rig::PlannedSwap> swaps;
  for (std::uint64_t step = 100; step < 1000; step += 100) {
    rig::PlannedSwap swap;
    swap.at_step = step;
    swap.kind = policy::Kind::scheduler;
    swap.choice = {"vtc", {}};
    swaps.push_back(swap);
  }
  BOOST_TEST(served({"policy.scheduler=vtc"}, swaps).gap() <= kFound);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
