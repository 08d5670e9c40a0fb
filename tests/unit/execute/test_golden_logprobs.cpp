// The forward pass under the plan of plugin f32, against log-probabilities of Transformers (tests/golden/logprobs): all
// that is stored, at every position of every text.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "../../sanitized.hpp"
#include "execute/cpu/forward.hpp"
#include "golden_logprobs.hpp"
#include "model/from_config.hpp"
#include "models_folder.hpp"
#include "scorer.hpp"

namespace serveloop::execute::cpu::test {

namespace {

constexpr double kTolerance = 1e-3;  // of the real model: thirty layers
constexpr double kTinyTolerance = 1e-4;
constexpr std::uint64_t kSeed = 20250917;  // of random weights, in make.py

// The largest difference at a position; -inf takes the place of what was compared.
double difference(const GoldenText& text, std::uint32_t position, std::span<float> logits) {
  const double sum = log_sum_exp(logits);
  double worst = 0;
  const auto compare = [&](std::uint32_t id, double expected) {
    worst = std::max(worst, std::fabs(logits[id] - sum - expected));
  };
  if (position < text.next.size()) compare(text.ids[position + 1], text.next[position]);
  for (const GoldenToken& token : text.top[position]) compare(token.id, token.logprob);
  for (const GoldenToken& token : text.top[position]) logits[token.id] = -INFINITY;
  const double fifth = *std::max_element(logits.begin(), logits.end()) - sum;
  return std::max(worst, fifth - text.top[position].back().logprob);  // no other token is more likely
}

void check(const model::Model& model, const std::string& name, unsigned threads, double tolerance,
           kernels::cpu::Isa isa) {
  std::vector<GoldenText> texts = GoldenLogprobs::read(LOGPROBS_FOLDER "/" + name + ".logprobs");
  BOOST_CHECK_EQUAL(texts.size(), 20u);
  if (serveloop::test::kUnderAsan) texts.resize(3);
  std::uint32_t longest = 0, positions = 0;
  for (const GoldenText& text : texts)
    longest = std::max(longest, static_cast<std::uint32_t>(text.ids.size()));
  Scorer scorer(model, "f32", threads, longest, isa);
  double worst = 0;
  for (const GoldenText& text : texts) {
    BOOST_REQUIRE_LT(*std::max_element(text.ids.begin(), text.ids.end()), model.architecture.vocabulary);
    std::vector<double> at(text.ids.size(), INFINITY);
    scorer.score(text.ids, [&](std::uint32_t position, std::span<float> logits) {
      at[position] = difference(text, position, logits);
    });
    const auto most = std::max_element(at.begin(), at.end());
    BOOST_CHECK_MESSAGE(*most <= tolerance,
                        fmt::format("{}, {}, text '{}': off by {:.1e} at position {}", name,
                                    kernels::cpu::name(isa), text.name, *most, most - at.begin()));
    worst = std::max(worst, *most);
    positions += static_cast<std::uint32_t>(at.size());
  }
  BOOST_TEST_MESSAGE(fmt::format("{}, {}: {} positions, off by {:.1e} at most", name, kernels::cpu::name(isa),
                                 positions, worst));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_logprobs)

BOOST_AUTO_TEST_CASE(small_models_of_all_architectures) {
  for (const char* name : {"llama", "mistral", "qwen2", "qwen3", "gemma3"}) {
    const auto architecture =
        need(model::load_config_json(LOGPROBS_FOLDER "/" + std::string(name) + ".json"));
    const model::Model model = need(model::random_model(architecture, kSeed));
    for (int isa = 0; isa < kernels::cpu::kIsaCount; ++isa)
      if (kernels::cpu::runs(static_cast<kernels::cpu::Isa>(isa)))
        check(model, name, 1 + isa % 2, kTinyTolerance, static_cast<kernels::cpu::Isa>(isa));
  }
}

BOOST_AUTO_TEST_CASE(smollm2, *boost::unit_test::precondition(smollm2_is_there)) {
  const model::Model model = need(model::load_gguf(smollm2_path()));
  check(model, "smollm2", 2, kTolerance, kernels::cpu::detect());
  if (kernels::cpu::detect() != kernels::cpu::Isa::avx2 && kernels::cpu::runs(kernels::cpu::Isa::avx2))
    check(model, "smollm2", 2, kTolerance, kernels::cpu::Isa::avx2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
