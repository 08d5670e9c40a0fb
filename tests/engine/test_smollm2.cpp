// Law 1 on a real model: SmolLM2-135M-Instruct as its file has it, asked in prose, in eleven named configurations, with one
// and two threads and a live swap in the middle. `brief` has few, short requests; `long` has enough of them for all
// counts, and the whole covering array.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>

#include "../need.hpp"
#include "../sanitized.hpp"
#include "../unit/execute/models_folder.hpp"
#include "base/hash.hpp"
#include "cpu_array.hpp"
#include "named_configurations.hpp"
#include "service/text.hpp"

namespace serveloop::test {

namespace {

using execute::cpu::test::smollm2_is_there;
using execute::cpu::test::smollm2_path;

// How much is asked, and how often what a configuration shows must take place.
struct Scale {
  std::uint64_t seed;
  std::uint32_t requests, longest_prompt, most_tokens, block_tokens;
  std::uint64_t at_least;
};
constexpr Scale kBrief{31, 20, 16, 12, 4, 4}, kLong{23, 90, 64, 28, kBlockTokens, 20};

Tokens prose(const model::Model& model) {
  std::ifstream file(SERVELOOP_TEXTS "/persuasion.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return need(need(service::Text::create(model.vocabulary.value())).tokenizer->encode(text)).tokens;
}

// Each piece of a prompt is cut out of the text, at a place that follows from its seed. One prompt in eight stays ids at
// random. Temperatures are those that clients of a real model choose.
void ask_in_prose(std::vector<Ask>& asks, const Tokens& text, std::uint32_t longest_prompt) {
  for (std::size_t i = 0; i < asks.size(); ++i) {
    requests::RequestSpec& spec = asks[i].spec;
    if (spec.sampling.temperature > 0) spec.sampling.temperature = 0.5f + spec.sampling.temperature / 10;
    if (i % 8 == 7) continue;
    for (const requests::PromptPiece& piece : std::exchange(spec.pieces, {})) {
      const auto from =
          text.begin() + static_cast<std::ptrdiff_t>(mix(piece.seed, 0) % (text.size() - longest_prompt));
      spec.prompt.insert(spec.prompt.end(), from, from + piece.tokens);
    }
  }
}

CpuTraffic traffic_of(const Scale& scale) {
  model::Model model = need(model::load_gguf(smollm2_path()));
  std::vector<Ask> asks =
      sampled_asks(scale.requests, scale.seed, scale.longest_prompt, model.architecture.vocabulary);
  ask_in_prose(asks, prose(model), scale.longest_prompt);
  for (Ask& ask : asks) ask.spec.max_tokens = 1 + (*ask.spec.max_tokens - 1) % scale.most_tokens;
  return {std::move(model), std::move(asks)};
}

// Shared by the cases of a scale, with what each request gets alone.
template <const Scale& scale>
CpuTraffic& traffic() {
  static CpuTraffic all = traffic_of(scale);
  return all;
}

void check(const NamedConfiguration& named, CpuTraffic& traffic, const Scale& scale) {
  for (const unsigned threads : {1u, 2u}) {
    if (kUnderAsan && threads != 1 + named.name.size() % 2) continue;
    CpuSetting s = named.of(traffic, threads, scale.block_tokens);
    const Counted c = check_cpu_law_1(s, traffic);
    const std::uint64_t hits = c.hit_tokens / s.block_tokens;
    BOOST_TEST_CONTEXT(named.name << ", threads " << threads) {
      if (named.shows.preemptions) BOOST_CHECK_GE(c.preemptions, scale.at_least);
      if (named.shows.evictions) BOOST_CHECK_GE(c.evicted_blocks, scale.at_least);
      if (named.shows.hits) BOOST_CHECK_GE(hits, scale.at_least);
      if (named.shows.splits) BOOST_CHECK_GE(c.split_prompts, scale.at_least);
      if (named.shows.swaps) BOOST_CHECK_GE(c.swapped_out, scale.at_least);
      if (named.shows.swaps) BOOST_CHECK_GE(c.swapped_in, scale.at_least);
      if (named.shows.demotions) BOOST_CHECK_GE(c.demoted_blocks, scale.at_least);
      if (named.shows.prefetches) BOOST_CHECK_GE(c.prefetched_blocks, scale.at_least / 2);
      if (named.shows.keeps) BOOST_CHECK_GE(c.kept, scale.at_least);
      if (s.bad_copies && !named.shows.keeps) BOOST_CHECK_GE(c.copies_failed, 1u);
    }
    BOOST_TEST_MESSAGE(fmt::format(
        "{}, threads {}: {} preemptions, {} evicted, {} hits, {} split, {} computed, {} swapped out, {} in, "
        "{} demoted, {} prefetched, {} kept, {} of {} copies failed",
        named.name, threads, c.preemptions, c.evicted_blocks, hits, c.split_prompts, c.computed_tokens,
        c.swapped_out, c.swapped_in, c.demoted_blocks, c.prefetched_blocks, c.kept, c.copies_failed,
        c.copies));
  }
}

// A case for each configuration, by its name.
template <const Scale& scale>
bool add_cases() {
  for (const NamedConfiguration& named : named_configurations())
    boost::unit_test::framework::current_auto_test_suite().add(boost::unit_test::make_test_case(
        [&named] { check(named, traffic<scale>(), scale); }, named.name, __FILE__, __LINE__));
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(smollm2_law_1, *boost::unit_test::precondition(smollm2_is_there))

BOOST_AUTO_TEST_SUITE(brief)
const bool brief_cases = add_cases<kBrief>();
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(all)
const bool long_cases = add_cases<kLong>();
BOOST_AUTO_TEST_CASE(every_two_values_of_any_two_factors) { check_array(traffic<kLong>()); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
