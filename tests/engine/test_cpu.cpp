// Law 1 with real numbers, through the whole loop: every request gets the tokens, and the bits of their log-probabilities,
// that it gets alone, whatever the policies, the pool, the budget, the lag, the threads, the precision plan and the
// weights' format, with real sampling.
#include <boost/test/unit_test.hpp>
#include <set>

#include "../unit/execute/tiny_models.hpp"
#include "cpu_array.hpp"

namespace serveloop::test {

namespace {

namespace cpu = execute::cpu::test;

constexpr std::uint32_t kRequests = 90, kLongestPrompt = 64;

void check(const model::Model& model) {
  CpuTraffic traffic(model, sampled_asks(kRequests, 23, kLongestPrompt, model.architecture.vocabulary));
  check_array(traffic);
}

model::Model stored(model::Type type) {
  return cpu::stored_as(cpu::random(cpu::whole_blocks(cpu::gemma3())), {type});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_law_1)

BOOST_AUTO_TEST_CASE(every_two_values_of_any_two_factors_meet) {
  std::set<Pair> met;
  for (const Row& row : array_rows()) met.merge(pairs_in(row));
  BOOST_CHECK(met == pairs_of(array_sizes()));
  BOOST_CHECK_LE(array_rows().size(), 48u);
}

// Sizes that divide nothing, where the format has no blocks.
BOOST_AUTO_TEST_CASE(bf16_weights) { check(cpu::random(cpu::gemma3())); }
BOOST_AUTO_TEST_CASE(f32_weights) { check(cpu::stored_as(cpu::random(cpu::qwen3()), {model::Type::f32})); }
BOOST_AUTO_TEST_CASE(f16_weights) { check(cpu::stored_as(cpu::random(cpu::mistral()), {model::Type::f16})); }
BOOST_AUTO_TEST_CASE(q8_0_weights) { check(stored(model::Type::q8_0)); }
BOOST_AUTO_TEST_CASE(q4_0_weights) { check(stored(model::Type::q4_0)); }
BOOST_AUTO_TEST_CASE(q4_1_weights) { check(stored(model::Type::q4_1)); }

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
