// The executor's contract beside the numbers: bad batches, samplers and logits fail and harm nobody; order.
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "small_executor.hpp"

namespace serveloop::execute::cpu::test {

namespace {

void check_failed(const Collected& done, const std::string& part) {
  BOOST_CHECK(done.failed);
  BOOST_CHECK_MESSAGE(done.why.find(part) != std::string::npos, done.why);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_executor)

BOOST_AUTO_TEST_CASE(bad_batches_fail_and_the_next_one_runs) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Small s(lag);
    s.begin(0, kPrompt, {3, 1});
    const std::uint32_t good = s.run({{0, 0, 6, true, false}}).tokens[0];
    s.begin(0, kPrompt, {3});
    check_failed(s.run({{0, 0, 6, true, false}}), "blocks for all positions");
    s.begin(0, kPrompt, {3, 8});  // no such block
    check_failed(s.run({{0, 0, 6, true, false}}), "1 missing");
    s.begin(0, {5, 331}, {3});  // no such token
    check_failed(s.run({{0, 0, 2, true, false}}), "ids below 331, found 331");
    s.begin(0, kPrompt, {3, 1});
    check_failed(s.run({{0, 0, 7, true, false}}), "6 known");
    s.begin(0, std::vector<std::uint32_t>(17, 1), {0, 1, 2, 3, 4});
    check_failed(s.run({{0, 0, 17, true, false}}), "at most 16 tokens");
    s.mode = 3;
    check_failed(s.run({{0, 0, 1, false, false}}), "precision mode 3");
    s.mode = 0;
    check_failed(s.run({{2, 0, 1, true, false}}), "row: expected below 2, found 2");
    s.begin(2, kPrompt, {});
    check_failed(s.run({}), "row: expected below 2, found 2");
    s.changes = {{UINT32_MAX, 0, 1}};
    check_failed(s.run({}), "row: expected below 2, found 4294967295");
    for (const std::uint32_t index : {8u, UINT32_MAX}) {
      s.changes = {{0, index, 1}};
      check_failed(s.run({}), "block table of row 0: expected entries below 8, one a block, found");
    }
    s.begin(0, kPrompt, {3, 1});
    check_failed(s.run({{0, 0, 5, true, false}}), "a sample behind the prompt, found a prompt of 6");
    s.begin(1, kPrompt, {0, 7});
    const Collected again = s.run({{1, 0, 6, true, false}});
    BOOST_REQUIRE_MESSAGE(!again.failed, again.why);
    BOOST_CHECK_EQUAL(again.tokens[0], good);
  }
}

// On any worker, at any lag: the step fails, and nobody waits for the one who threw.
BOOST_AUTO_TEST_CASE(a_sampler_that_throws_fails_its_step_alone) {
  struct Throwing final : Sampler {
    explicit Throwing(std::uint32_t bad) : row(bad) {}
    std::uint32_t sample(const SampleAt& at, float*, int, std::vector<TokenLogprob>&) const override {
      if (at.row == row && at.position == 6) throw std::bad_alloc();
      if (at.row == row && at.position == 5) throw 7;
      return 3;
    }
    std::uint32_t row;
  };
  for (const std::uint32_t lag : {0u, 1u})
    for (const unsigned threads : {1u, 2u, 3u})
      for (const std::uint32_t bad : {0u, 1u}) {
        Small s(lag, threads);
        s.executor->set_sampler(std::make_unique<Throwing>(bad));
        s.begin(0, kPrompt, {3, 1});
        s.begin(1, kPrompt, {0, 7});
        const Collected done = s.run({{0, 0, 6, true, false}, {1, 0, 6, true, false}});
        check_failed(done, "bad_alloc");
        BOOST_CHECK_EQUAL(done.tokens[1 - bad], 0u);
        s.begin(bad, {1, 2, 3, 4, 5}, {3, 1});
        check_failed(s.run({{bad, 0, 5, true, false}}), "an exception that tells nothing");
        s.begin(bad, {1, 2, 3, 4}, {3, 1});
        const Collected next = s.run({{bad, 0, 4, true, false}});
        BOOST_REQUIRE_MESSAGE(!next.failed, next.why);
        BOOST_CHECK_EQUAL(next.tokens[0], 3u);
      }
}

BOOST_AUTO_TEST_CASE(logits_without_a_number_fail_their_step) {
  model::Model model = stored_as(random(qwen2()), {model::Type::f32});
  // The embedding of token 7: no number. It reaches the logits of whoever has it.
  auto* row = reinterpret_cast<float*>(const_cast<std::byte*>(model.weights.embedding.row(7)));
  std::fill(row, row + model.architecture.hidden, NAN);
  for (const unsigned threads : {1u, 2u}) {
    Small s(0, threads);
    s.executor = CpuExecutor::create(s.clock, model, {threads, 0, 2, 16, 4, 8}).value();
    BOOST_REQUIRE(s.executor->apply(0, plans_of(s.executor->op_keys(), SL_F32, SL_F32)));
    s.begin(0, {5, 6, 9}, {3});
    s.begin(1, {5, 7, 9}, {4});
    check_failed(s.run({{0, 0, 3, true, false}, {1, 0, 3, true, false}}),
                 "step 0: logits of row 1 at position 2: expected a number above minus infinity, found none");
    s.begin(0, {5, 6, 9}, {3});
    s.begin(1, {5, 7, 9}, {4});
    const Collected done =
        s.run({{0, 0, 3, true, false}, {1, 0, 3, false, false}});  // nobody samples from it
    BOOST_CHECK_MESSAGE(!done.failed, done.why);
  }
}

BOOST_AUTO_TEST_CASE(tokens_stay_until_the_next_submit_and_steps_come_in_order) {
  Small s(1, 1, 2);
  s.begin(0, kPrompt, {3, 1, 4});
  s.submit({{0, 0, 6, true, false}});
  s.submit({{0, 6, 1, true, true}});
  const Collected first = s.executor->collect();
  const std::uint32_t token = first.tokens[0];
  const Collected second = s.executor->collect();
  BOOST_CHECK_EQUAL(first.step, 0u);
  BOOST_CHECK_EQUAL(second.step, 1u);
  BOOST_CHECK_EQUAL(first.tokens[0], token);
  BOOST_CHECK_LE(first.device_end_ns, second.device_start_ns);
}

// Tied or not: once packed, nothing is read from where the model was.
BOOST_AUTO_TEST_CASE(the_models_memory_is_let_go) {
  for (const model::Architecture& a : {qwen2(), llama_tied()}) {
    std::uint32_t token[2];
    for (const bool spoilt : {false, true}) {
      Small s;
      model::Model model = stored_as(random(a), {model::Type::f32});
      const auto bytes = static_cast<std::size_t>(model.weights.embedding.bytes());
      const std::shared_ptr<const void> storage = spoilt ? model.storage : nullptr;
      const std::weak_ptr<const void> kept = model.storage;
      auto* embedding = const_cast<std::byte*>(model.weights.embedding.data);
      s.executor = CpuExecutor::create(s.clock, std::move(model), {1, 0, 2, 16, 4, 8}).value();
      BOOST_CHECK_EQUAL(kept.use_count(), spoilt ? 1 : 0);
      if (spoilt) std::memset(embedding, 0, bytes);
      BOOST_REQUIRE(s.executor->apply(0, plans_of(s.executor->op_keys(), SL_F32, SL_F32)));
      s.begin(0, kPrompt, {3, 1});
      token[spoilt] = s.run({{0, 0, 6, true, false}}).tokens[0];
    }
    BOOST_CHECK_EQUAL(token[0], token[1]);
  }
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_are_refused) {
  SteadyClock clock;
  const auto refused = [&](CpuOptions options, const std::string& name) {
    const auto made = CpuExecutor::create(clock, random(qwen2()), options);
    BOOST_REQUIRE(!made);
    BOOST_CHECK_EQUAL(made.error().what, name);
  };
  refused({0, 0, 2, 16, 4, 8}, "engine.threads");
  refused({1, 2, 2, 16, 4, 8}, "engine.lag");
  refused({1, 0, 2, 16, 6, 8}, "engine.block_tokens");
  auto unsized = CpuExecutor::create(clock, random(qwen2()), {1, 0, 2, 16, 4, 0}).value();
  const auto plans = plans_of(unsized->op_keys(), SL_F32, SL_F32);
  BOOST_CHECK_EQUAL(unsized->apply(0, plans).error().what, "engine.kv_blocks");
  BOOST_CHECK_GT(unsized->block_bytes(plans).value(), 0u);
  unsized->set_blocks(8, 0);
  BOOST_CHECK(unsized->apply(0, plans));
  Small s;
  BOOST_CHECK(!s.executor->apply(1, plans_of(s.executor->op_keys(), SL_F32, SL_BF16)));  // another cache
  BOOST_CHECK(s.executor->apply(1, plans_of(s.executor->op_keys(), SL_BF16, SL_F32)));
  BOOST_CHECK_EQUAL(s.executor->effective(1).size(), s.executor->op_keys().size());
  BOOST_CHECK(s.executor->effective(2).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
