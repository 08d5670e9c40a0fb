// The sampler against one that sorts: cuts, penalties, biases, masks, the draw, log-probabilities; and what a draw depends on.
#include <algorithm>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "execute/cpu/drawing.hpp"
#include "kernels/random.hpp"
#include "kernels/token_weight.hpp"

namespace serveloop::execute::test {

namespace {

constexpr int kVocabulary = 301;
using Tokens = std::vector<std::uint32_t>;

std::vector<float> logits_of(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> out(kVocabulary);
  for (float& v : out) v = std::round(normal(random) * 4) / 4;  // ties abound
  out[7] = NAN;
  return out;
}

struct Sampled {
  std::uint32_t token;
  std::vector<TokenLogprob> logprobs;
};

Sampled sample(const Sampling& how, std::vector<float> logits, const Tokens& tokens, std::uint32_t prompt,
               std::uint32_t fork = 0) {
  const cpu::Drawing sampler(kernels::cpu::kernels());
  Sampled out;
  out.token = sampler.sample({0, &how, fork, static_cast<std::uint32_t>(tokens.size()), prompt, tokens},
                             logits.data(), kVocabulary, out.logprobs);
  return out;
}

// Logits after masks, biases and penalties, token by token: clean after each (token_weight.hpp).
std::vector<float> shaped(const Sampling& how, std::vector<float> z, const Tokens& tokens,
                          std::uint32_t prompt) {
  using kernels::clean_logit;
  for (float& v : z) v = clean_logit(v);
  if (tokens.size() - prompt < how.min_tokens)
    for (const std::uint32_t id : how.stop_ids) z[id] = -INFINITY;
  for (const TokenBias& b : how.bias) z[b.token] = clean_logit(z[b.token] + b.bias);
  for (const std::uint32_t id : std::set<std::uint32_t>(tokens.begin(), tokens.end())) {
    const auto generated = std::count(tokens.begin() + prompt, tokens.end(), id);
    z[id] = z[id] > 0 ? z[id] / how.repetition : z[id] * how.repetition;
    z[id] -= how.frequency * static_cast<float>(generated);
    if (generated > 0) z[id] -= how.presence;
    z[id] = clean_logit(z[id]);
  }
  return z;
}

std::vector<int> in_order(const std::vector<float>& z) {
  std::vector<int> ids(z.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return z[a] > z[b]; });
  return ids;
}

std::uint32_t expected(const Sampling& how, const std::vector<float>& z, std::uint32_t fork,
                       std::uint32_t position) {
  std::vector<int> kept;
  std::map<int, std::uint64_t> weight;
  const std::vector<int> order = in_order(z);
  if (how.temperature == 0) return static_cast<std::uint32_t>(order[0]);
  const float scale = kernels::token_scale(how.temperature);
  for (const int id : order) {
    const std::uint64_t w = kernels::token_weight(z[id], z[order[0]], scale);
    if (w > 0 && static_cast<double>(w) >= static_cast<double>(how.min_p) * 0x1p40)
      kept.push_back(id), weight[id] = w;
  }
  if (how.top_k > 0) kept.resize(std::min<std::size_t>(kept.size(), how.top_k));
  std::uint64_t total = 0;
  for (const int id : kept) total += weight[id];
  if (how.top_p < 1) {
    std::uint64_t sum = 0;
    std::size_t count = 0;
    while (static_cast<double>(sum) < std::floor(static_cast<double>(how.top_p) * static_cast<double>(total)))
      sum += weight[kept[count++]];
    kept.resize(std::max<std::size_t>(count, 1));
    total = std::max(sum, weight[kept[0]]);
  }
  std::sort(kept.begin(), kept.end());
  std::uint64_t left = kernels::scaled_random(kernels::token_random(how.seed, fork, position), total);
  for (const int id : kept) {
    if (left < weight[id]) return static_cast<std::uint32_t>(id);
    left -= weight[id];
  }
  return 0;
}

const Tokens kTokens = {3, 9, 9, 20, 31, 3, 40, 40, 40};
constexpr std::uint32_t kPrompt = 4;

}  // namespace

BOOST_AUTO_TEST_SUITE(drawing)

BOOST_AUTO_TEST_CASE(the_token_of_a_sampler_that_sorts) {
  std::set<std::uint32_t> seen;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    Sampling how;
    how.seed = seed;
    how.temperature = std::array{0.0f, 0.2f, 0.7f, 1.0f, 3.0f}[seed % 5];
    how.top_k = std::array{0u, 1u, 5u, 40u, 1000u}[seed / 5 % 5];
    how.top_p = std::array{1.0f, 0.9f, 0.3f, 0.01f}[seed % 4];
    how.min_p = std::array{0.0f, 0.05f, 0.5f}[seed % 3];
    if (seed % 7 < 3) how.repetition = 1.3f, how.presence = 0.5f, how.frequency = 0.25f;
    if (seed % 11 == 0) how.bias = {{5, 6.0f}, {40, -100.0f}};
    how.stop_ids = {2, 9, 40};
    how.min_tokens = seed % 2 == 0 ? 6 : 2;  // 5 are generated
    const std::vector<float> logits = logits_of(seed);
    const std::uint32_t got = sample(how, logits, kTokens, kPrompt, seed % 3).token;
    BOOST_REQUIRE_EQUAL(got, expected(how, shaped(how, logits, kTokens, kPrompt), seed % 3, 9));
    if (how.min_tokens == 6) BOOST_REQUIRE(got != 2 && got != 9 && got != 40);
    seen.insert(got);
  }
  BOOST_TEST(seen.size() > 50u);
}

// Any bits as logits, and penalties that leave the range of F32.
BOOST_AUTO_TEST_CASE(any_bits_and_any_penalty_give_the_token_of_a_sampler_that_sorts) {
  std::mt19937 random(77);
  for (std::uint32_t round = 0; round < 400; ++round) {
    Sampling how;
    how.seed = round;
    how.temperature = std::array{0.0f, 1e-30f, 1.0f, 100.0f}[round % 4];
    how.top_k = std::array{0u, 3u}[round / 4 % 2];
    how.top_p = std::array{1.0f, 0.5f}[round / 8 % 2];
    how.repetition = std::array{1.0f, 1e-38f, 1e-45f, 100.0f}[round / 16 % 4];
    how.bias = {{20, 100.0f}, {21, -100.0f}};
    std::vector<float> logits = logits_of(round);
    if (round % 3 == 0)
      for (float& v : logits) v = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (round % 5 < 3)
      for (std::uint32_t i = 0; i <= round % 5; ++i) logits[random() % kVocabulary] = INFINITY;
    if (round % 50 == 0) logits.assign(kVocabulary, INFINITY);
    BOOST_REQUIRE_EQUAL(sample(how, logits, kTokens, kPrompt).token,
                        expected(how, shaped(how, logits, kTokens, kPrompt), 0, 9));
  }
}

// With the weights of a known distribution: 10,000 draws lie within five standard deviations.
BOOST_AUTO_TEST_CASE(draws_follow_the_distribution) {
  std::vector<float> logits(kVocabulary, -INFINITY);
  const std::map<std::uint32_t, double> share = {{10, 0.5}, {100, 0.3}, {250, 0.15}, {299, 0.05}};
  for (const auto& [id, p] : share) logits[id] = static_cast<float>(std::log(p)) + 7;
  std::map<std::uint32_t, int> counts;
  constexpr int kDraws = 10000;
  for (int i = 0; i < kDraws; ++i) {
    Sampling how;
    how.seed = static_cast<std::uint64_t>(i);
    how.temperature = 1;
    ++counts[sample(how, logits, kTokens, kPrompt).token];
  }
  BOOST_TEST(counts.size() == share.size());
  for (const auto& [id, p] : share)
    BOOST_TEST(std::abs(counts[id] - kDraws * p) < 5 * std::sqrt(kDraws * p * (1 - p)));
}

BOOST_AUTO_TEST_CASE(a_draw_depends_on_seed_fork_and_position) {
  const std::vector<float> logits(kVocabulary, 0.0f);
  const auto draw = [&](std::uint64_t seed, std::uint32_t fork, std::size_t position) {
    Sampling how;
    how.seed = seed;
    how.temperature = 1;
    return sample(how, logits, Tokens(position, 1), 1, fork).token;
  };
  BOOST_TEST(draw(1, 0, 5) == draw(1, 0, 5));
  std::set<std::uint32_t> seeds, forks, positions;
  for (std::uint32_t i = 1; i < 20; ++i)
    seeds.insert(draw(i, 0, 5)), forks.insert(draw(1, i, 5)), positions.insert(draw(1, 0, i));
  BOOST_TEST((seeds.size() > 10 && forks.size() > 10 && positions.size() > 10));
}

BOOST_AUTO_TEST_CASE(log_probabilities_are_of_the_logits_as_they_came) {
  std::vector<float> logits = logits_of(5);
  Sampling how;
  how.alternatives = 4;
  how.bias = {{17, 100.0f}};  // decides, and does not show
  const Sampled got = sample(how, logits, kTokens, kPrompt);
  BOOST_TEST(got.token == 17u);
  double sum = 0;
  for (const float v : logits) sum += std::isnan(v) ? 0 : std::exp(static_cast<double>(v));
  BOOST_TEST(got.logprobs.size() == 5u);
  BOOST_TEST(got.logprobs[0].token == 17u);
  for (float& v : logits) v = std::isnan(v) ? -INFINITY : v;
  const std::vector<int> order = in_order(logits);
  for (std::size_t i = 0; i < got.logprobs.size(); ++i) {
    const TokenLogprob& p = got.logprobs[i];
    if (i > 0) BOOST_TEST(p.token == static_cast<std::uint32_t>(order[i - 1]));
    BOOST_TEST(std::abs(p.logprob - (logits[p.token] - std::log(sum))) < 1e-5);
  }
  how.alternatives = 0;
  BOOST_TEST(sample(how, logits, kTokens, kPrompt).logprobs.size() == 1u);
  logits[200] = INFINITY;  // as the largest number: no log-probability is NaN
  how.alternatives = 2;
  const Sampled infinite = sample(how, logits, kTokens, kPrompt);
  BOOST_TEST(infinite.logprobs[1].token == 200u);
  BOOST_TEST(infinite.logprobs[1].logprob == 0);
  for (const TokenLogprob& p : infinite.logprobs) BOOST_TEST(p.logprob <= 0);
  how.alternatives.reset();
  BOOST_TEST(sample(how, logits, kTokens, kPrompt).logprobs.empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::test
