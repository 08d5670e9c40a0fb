#include "cpu_traffic.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "shipped.hpp"

namespace serveloop::test {

std::vector<Ask> sampled_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt,
                              std::uint32_t vocabulary) {
  std::vector<Ask> asks = mixed_asks(count, seed, longest_prompt);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Sampling& how = asks[i].spec.sampling;
    const std::uint64_t draw = mix(seed, i);
    for (std::uint32_t& id : how.stop_ids) id %= vocabulary;
    how.temperature = draw % 3 == 0 ? 0.0f : 1.0f + static_cast<float>(draw % 7);
    if (draw % 5 == 0) how.top_p = 0.7f;
    if (draw % 4 == 0) how.top_k = 20;
    if (draw % 6 == 0) how.repetition = 1.3f, how.frequency = 0.2f;
    if (draw % 7 < 2) how.min_p = 0.05f;
    if (draw % 9 < 2) how.presence = 0.5f;
    if (draw % 10 < 2) how.bias = {{static_cast<std::uint32_t>(draw / 10 % vocabulary), 3.0f}};
    if (draw % 11 < 3) how.min_tokens = 4;
    if (draw % 8 != 0) how.alternatives = draw % 3;
  }
  return asks;
}

std::size_t CpuTraffic::sequences() const {
  std::size_t sum = 0;
  for (const Ask& ask : asks_) sum += ask.spec.n;
  return sum;
}

std::uint32_t CpuTraffic::longest_answer() const {
  std::uint32_t most = 0;
  for (const Ask& ask : asks_) most = std::max(most, ask.spec.max_tokens.value());
  return most;
}

std::uint32_t CpuTraffic::smallest_pool(std::uint32_t block_tokens) const {
  std::uint32_t longest = 0;
  for (const Ask& ask : asks_)  // the last token's KV is not needed
    longest = std::max(longest, ask.spec.prompt_tokens() + ask.spec.max_tokens.value() - 1);
  return (longest + block_tokens - 1) / block_tokens;
}

const Heard& CpuTraffic::alone(const std::string& plan) {
  const auto [at, is_new] = alone_.try_emplace(plan);
  if (!is_new) return at->second;
  CpuSetting quiet;
  quiet.precision = plan;
  quiet.token_budget = 2048;
  quiet.prefix_cache = false;
  CpuWorld world(quiet, model_);
  world.run_alone(asks_);
  return at->second = world.heard();
}

namespace {

// All of what is expected, or its beginning where a cancel cut it short.
void check_outputs(std::string_view what, const Outputs& got, const Outputs& reference,
                   const std::vector<Ask>& asks) {
  for (const auto& [which, expected] : reference) {
    const auto found = got.find(which);
    const Tokens own = found == got.end() ? Tokens{} : found->second;
    if (asks[which.first].cancel_after == 0) BOOST_REQUIRE_EQUAL(own.size(), expected.size());
    BOOST_REQUIRE_LE(own.size(), expected.size());
    const auto differs = std::mismatch(own.begin(), own.end(), expected.begin()).first - own.begin();
    BOOST_REQUIRE_MESSAGE(differs == static_cast<std::ptrdiff_t>(own.size()),
                          "request " << which.first << ", sequence " << which.second << ", " << what << ' '
                                     << differs << ": not what it is alone");
  }
}

}  // namespace

Counted check_cpu_law_1(const CpuSetting& s, CpuTraffic& traffic) {
  const Heard& reference = traffic.alone(s.precision);
  Counted counters;
  BOOST_TEST_CONTEXT(s.name()) {
    CpuWorld world(s, traffic.model());
    world.run(traffic.asks());
    counters = {world.engine().counters(), decided(world.engine(), "keep")};
    BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    BOOST_REQUIRE_EQUAL(world.heard().tokens.size(), traffic.sequences());
    check_outputs("token", world.heard().tokens, reference.tokens, traffic.asks());
    check_outputs("log-probability", world.heard().logprobs, reference.logprobs, traffic.asks());
    BOOST_CHECK_EQUAL(counters.failed_steps, 0u);
    BOOST_CHECK_EQUAL(counters.swaps, s.swaps.size());
    BOOST_CHECK(counters.fallbacks.empty());
  }
  return counters;
}

}  // namespace serveloop::test
