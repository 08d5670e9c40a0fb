// Law 1 with real numbers, through the whole loop: every request gets the tokens that it gets alone, whatever the policies,
// the pool, the budget, the lag, the threads, the precision plan and the weights' format, with real sampling.
#include <fmt/format.h>
#include <serveloop/precision.h>

#include <boost/test/unit_test.hpp>
#include <set>
#include <span>

#include "../unit/execute/tiny_models.hpp"
#include "covering.hpp"
#include "cpu_world.hpp"

namespace serveloop::test {

namespace {

namespace cpu = execute::cpu::test;

constexpr std::uint32_t kRequests = 90, kLongestPrompt = 64, kMostTokens = 28;
constexpr std::uint32_t kSmallest = (kLongestPrompt + kMostTokens + kBlockTokens - 2) / kBlockTokens;
constexpr std::uint64_t kAtLeast = 20;

// The product of the loop, a value of each factor a row.
const std::vector<const char*> kSchedulers = {"fcfs", "priority", "sarathi"};
const std::vector<const char*> kEvictions = {"lru", "slru"};
const std::vector<const char*> kPlans = {"native", "bf16", "f32"};
const std::vector<std::uint32_t> kPools = {3 * kSmallest / 2, 2 * kSmallest, 1024};
const std::vector<std::uint32_t> kBudgets = {24, 48, 400};

CpuSetting setting_of(const Row& row) {
  CpuSetting s;
  s.scheduler = kSchedulers[row[0]];
  s.eviction = kEvictions[row[1]];
  s.precision = kPlans[row[2]];
  s.blocks = kPools[row[3]];
  s.token_budget = kBudgets[row[4]];
  s.lag = static_cast<std::uint32_t>(row[5]);
  s.threads = static_cast<unsigned>(row[6]) + 1;
  s.prefix_cache = row[7] == 0;
  if (row[8] == 1) s.swaps = {{20, kSchedulers[(row[0] + 1) % 3]}, {45, kSchedulers[(row[0] + 2) % 3]}};
  return s;
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = covering_array(
      {kSchedulers.size(), kEvictions.size(), kPlans.size(), kPools.size(), kBudgets.size(), 2, 2, 2, 2});
  return all;
}

// What each request gets alone under a plan: whole prompts, one thread, no prefix cache.
Outputs alone(const model::Model& model, const std::string& plan, const std::vector<Ask>& asks) {
  CpuSetting quiet;
  quiet.precision = plan;
  quiet.token_budget = 2048;
  quiet.prefix_cache = false;
  CpuWorld world(quiet, model);
  world.run_alone(asks);
  return world.outputs();
}

void check_array(const model::Model& model) {
  const std::vector<Ask> asks = sampled_asks(kRequests, 23, kLongestPrompt, model.architecture.vocabulary);
  std::map<std::string, Outputs> reference;
  for (const char* plan : kPlans) reference[plan] = alone(model, plan, asks);
  std::uint64_t preemptions = 0, evicted = 0, hits = 0, split = 0;
  for (const Row& row : rows()) {
    const CpuSetting s = setting_of(row);
    const engine::Counters c = check_cpu_law_1(s, model, asks, reference[s.precision]);
    preemptions += c.preemptions;
    evicted += c.evicted_blocks;
    hits += c.hit_tokens / kBlockTokens;
    split += c.split_prompts;
    BOOST_TEST_CONTEXT(s.name()) {
      if (s.blocks == kPools[0]) BOOST_CHECK_GE(c.preemptions, kAtLeast);
      if (s.blocks == kPools[0] && s.prefix_cache) BOOST_CHECK_GE(c.evicted_blocks, kAtLeast);
      if (s.prefix_cache) BOOST_CHECK_GE(c.hit_tokens / kBlockTokens, kAtLeast);
      if (s.token_budget == kBudgets[0]) BOOST_CHECK_GE(c.split_prompts, kAtLeast);
    }
  }
  BOOST_TEST_MESSAGE(fmt::format("{} settings: {} preemptions, {} evicted, {} hits, {} split", rows().size(),
                                 preemptions, evicted, hits, split));
}

model::Model stored(model::Type type) {
  return cpu::stored_as(cpu::random(cpu::whole_blocks(cpu::gemma3())), {type});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_law_1)

BOOST_AUTO_TEST_CASE(every_two_values_of_any_two_factors_meet) {
  std::set<Pair> met;
  for (const Row& row : rows()) met.merge(pairs_in(row));
  BOOST_CHECK(met == pairs_of({3, 2, 3, 3, 3, 2, 2, 2, 2}));
  BOOST_CHECK_LE(rows().size(), 20u);
}

// Sizes that divide nothing, where the format has no blocks.
BOOST_AUTO_TEST_CASE(bf16_weights) { check_array(cpu::random(cpu::gemma3())); }
BOOST_AUTO_TEST_CASE(f32_weights) {
  check_array(cpu::stored_as(cpu::random(cpu::qwen3()), {model::Type::f32}));
}
BOOST_AUTO_TEST_CASE(f16_weights) {
  check_array(cpu::stored_as(cpu::random(cpu::mistral()), {model::Type::f16}));
}
BOOST_AUTO_TEST_CASE(q8_0_weights) { check_array(stored(model::Type::q8_0)); }
BOOST_AUTO_TEST_CASE(q4_0_weights) { check_array(stored(model::Type::q4_0)); }
BOOST_AUTO_TEST_CASE(q4_1_weights) { check_array(stored(model::Type::q4_1)); }

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
