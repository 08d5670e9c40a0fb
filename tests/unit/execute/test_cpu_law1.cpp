// Law 1 on the CPU executor, bit for bit: logits and tokens of a sequence are those that it gets alone, whatever runs
// beside it, in whatever chunks, blocks and rows, with however many threads, at either lag.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "player.hpp"

namespace serveloop::execute::cpu::test {

namespace {

struct Case {
  std::string name;
  model::Model model;
  std::uint8_t input, kv;
};

void check(const Case& c, kernels::cpu::Isa isa = kernels::cpu::detect()) {
  const std::vector<Story> all = stories(14, c.model.architecture.vocabulary, 75);
  Stage stage{c.input, c.kv};
  stage.isa = isa;
  stage.token_budget = 256;
  stage.block_tokens = 16;
  const Trace expected = Player(c.model, stage).alone(all);
  std::size_t tokens = 0;
  for (const Story& story : all) tokens += story.generate;
  BOOST_REQUIRE_EQUAL(expected.size(), tokens);
  std::uint32_t seed = 0;
  std::uint64_t lives_begun_anew = 0, mixed_steps = 0;
  for (const unsigned threads : {1u, 2u, 3u})
    for (const std::uint32_t lag : {0u, 1u})
      for (const std::uint32_t block_tokens : {4u, 32u}) {
        stage.threads = threads;
        stage.lag = lag;
        stage.block_tokens = block_tokens;
        stage.token_budget = 40 + 11 * seed;
        stage.blocks = 3000 / block_tokens;
        BOOST_TEST_CONTEXT(fmt::format("{} on {}, {} threads, lag {}, blocks of {}", c.name,
                                       kernels::cpu::name(isa), threads, lag, block_tokens)) {
          Player player(c.model, stage);
          BOOST_CHECK(player.mixed(all, ++seed) == expected);
          lives_begun_anew += player.lives_begun_anew;
          mixed_steps += player.mixed_steps;
        }
      }
  BOOST_CHECK_GE(lives_begun_anew, 20u);
  BOOST_CHECK_GE(mixed_steps, 150u);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_law_1)

BOOST_AUTO_TEST_CASE(f32_all_families) {
  for (const model::Architecture& a : all_families()) check({a.family + " F32", random(a), SL_F32, SL_F32});
}

BOOST_AUTO_TEST_CASE(bf16) {
  for (const model::Architecture& a : {qwen2(), gemma3()})
    check({a.family + " BF16", random(a), SL_BF16, SL_BF16});
}

BOOST_AUTO_TEST_CASE(native_on_quantised_weights) {
  using enum model::Type;
  for (const std::vector<model::Type>& types :
       {std::vector{q4_0}, std::vector{q4_1}, std::vector{q8_0}, std::vector{q4_1, q8_0, bf16, q4_0, f16}})
    check({fmt::format("native {}", model::info(types.back()).name),
           stored_as(random(whole_blocks(gemma3())), types), SL_DTYPE_NATIVE, SL_DTYPE_NATIVE});
}

BOOST_AUTO_TEST_CASE(other_instruction_sets) {
  for (int i = 0; i < kernels::cpu::kIsaCount; ++i)
    if (const auto isa = static_cast<kernels::cpu::Isa>(i);
        kernels::cpu::runs(isa) && isa != kernels::cpu::detect())
      for (const auto kv : {SL_BF16, SL_F16})
        check({fmt::format("qwen3 BF16, KV {}", int{kv}), random(qwen3()), SL_BF16, kv}, isa);
}

// More than the head takes at a time.
BOOST_AUTO_TEST_CASE(many_rows_sample_in_one_step) {
  const model::Model model = random(gemma3());
  std::vector<Story> all = stories(150, model.architecture.vocabulary, 4);
  Stage stage;
  stage.rows = 150;
  stage.arrivals = 16;
  stage.blocks = 500;
  stage.token_budget = 300;
  const Trace expected = Player(model, stage).alone(all);
  for (const unsigned threads : {1u, 2u}) {
    stage.threads = threads;
    Player player(model, stage);
    BOOST_CHECK(player.mixed(all, threads) == expected);
    BOOST_CHECK_GT(player.most_sampling, 70u);
  }
}

// Beyond a chunk of the RoPE tables.
BOOST_AUTO_TEST_CASE(long_prompts) {
  const model::Model model = random(mistral());
  std::vector<Story> all = stories(2, model.architecture.vocabulary, 1);
  for (Story& story : all)
    for (std::uint32_t i = 0; i < 1200; ++i) story.prompt.push_back((i * i + story.generate) % 331);
  Stage stage{SL_BF16, SL_BF16};
  stage.blocks = 400;
  stage.anew = 1;
  stage.token_budget = 2048;
  const Trace expected = Player(model, stage).alone(all);
  stage.threads = 2;
  BOOST_CHECK(Player(model, stage).mixed(all, 5) == expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
