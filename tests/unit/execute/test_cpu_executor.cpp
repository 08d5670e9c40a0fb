// The executor's contract beside the numbers: bad batches fail and harm nobody, copies, times, the pool's barrier.
#include <atomic>
#include <boost/test/unit_test.hpp>

#include "player.hpp"

namespace serveloop::execute::cpu::test {

namespace {

// An executor of two rows and eight blocks of four tokens.
struct Small {
  explicit Small(std::uint32_t lag = 0, unsigned threads = 1) {
    executor = CpuExecutor::create(clock, random(qwen2()), {threads, lag, 2, 16, 4, 8}).value();
    BOOST_REQUIRE(executor->apply(0, plans_of(executor->op_keys(), SL_F32, SL_F32)));
  }
  void begin(std::uint32_t row, const std::vector<std::uint32_t>& prompt, std::vector<std::uint32_t> blocks) {
    kept.push_back(prompt);
    begins.push_back({row, 0, &sampling, static_cast<std::uint32_t>(prompt.size()), 9, kept.back(), {}});
    for (std::uint32_t i = 0; i < blocks.size(); ++i) changes.push_back({row, i, blocks[i]});
  }
  void submit(std::vector<BatchRow> rows) {
    Batch batch{step++, mode, 0, 0, begins, changes, copies, rows};
    for (const BatchRow& row : rows) (row.decode ? batch.decodes : batch.prefill_tokens) += row.tokens;
    executor->submit(batch);
    begins.clear();
    changes.clear();
    copies.clear();
  }
  Collected run(std::vector<BatchRow> rows) {
    submit(std::move(rows));
    return executor->collect();
  }
  SteadyClock clock;
  std::unique_ptr<CpuExecutor> executor;
  std::deque<std::vector<std::uint32_t>> kept;  // prompts, until they are submitted
  Sampling sampling;
  std::vector<Begin> begins;
  std::vector<TableChange> changes;
  std::vector<BlockCopy> copies;
  std::uint64_t step = 0;
  std::uint32_t mode = 0;
};

const std::vector<std::uint32_t> kPrompt = {5, 6, 7, 8, 9, 10};

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
    s.copies = {{0, 1, SL_TIER_DEVICE, SL_TIER_HOST}};
    check_failed(s.run({{0, 0, 1, false, false}}), "copy of block 0 to 1");
    s.begin(1, kPrompt, {0, 7});
    const Collected again = s.run({{1, 0, 6, true, false}});
    BOOST_REQUIRE_MESSAGE(!again.failed, again.why);
    BOOST_CHECK_EQUAL(again.tokens[0], good);
  }
}

BOOST_AUTO_TEST_CASE(a_copied_block_holds_the_same) {
  Small s;
  s.begin(0, kPrompt, {3, 1});
  s.begin(1, kPrompt, {5, 6});
  const std::uint32_t first = s.run({{0, 0, 6, true, false}}).tokens[0];
  s.begin(1, {kPrompt.begin(), kPrompt.end()}, {5, 6});
  s.copies = {{3, 5, SL_TIER_DEVICE, SL_TIER_DEVICE}};
  const Collected done = s.run({{1, 4, 2, true, false}, {0, 6, 1, true, true}});
  BOOST_REQUIRE_MESSAGE(!done.failed, done.why);
  BOOST_CHECK_EQUAL(done.tokens[0], first);
}

BOOST_AUTO_TEST_CASE(tokens_stay_until_the_next_submit_and_steps_come_in_order) {
  Small s(1, 2);
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
  unsized->set_blocks(8);
  BOOST_CHECK(unsized->apply(0, plans));
  Small s;
  BOOST_CHECK(!s.executor->apply(1, plans_of(s.executor->op_keys(), SL_F32, SL_BF16)));  // another cache
  BOOST_CHECK(s.executor->apply(1, plans_of(s.executor->op_keys(), SL_BF16, SL_F32)));
  BOOST_CHECK_EQUAL(s.executor->effective(1).size(), s.executor->op_keys().size());
  BOOST_CHECK(s.executor->effective(2).empty());
}

BOOST_AUTO_TEST_CASE(decode_time_is_learnt_from_decodes_alone) {
  DecodeTime time;
  BOOST_CHECK_EQUAL(time.of(4, 12, 1600), 400u);  // nothing known: its share of the tokens
  BOOST_CHECK_EQUAL(time.of(0, 12, 1600), 0u);
  BOOST_CHECK_EQUAL(time.of(4, 0, 1000), 1000u);
  BOOST_CHECK_EQUAL(time.of(5, 100, 9000), 1000u);   // 4 to 7 decodes are alike
  BOOST_CHECK_EQUAL(time.of(16, 100, 9000), 1000u);  // the nearest smaller
  BOOST_CHECK_EQUAL(time.of(1, 100, 9000), 1000u);   // else the nearest larger
  BOOST_CHECK_EQUAL(time.of(4, 0, 9000), 1000u);     // stretched by something else
  BOOST_CHECK_EQUAL(time.of(4, 0, 1500), 1500u);     // the average moved by an eighth of 8000, to 2000
}

BOOST_AUTO_TEST_CASE(rope_tables_grow_and_stay) {
  const model::Architecture a = gemma3();
  RopeTables tables(a);
  tables.reserve(1);
  const float* first = tables.cos(model::RopeKind::local, 0);
  tables.reserve(2500);
  BOOST_CHECK_EQUAL(tables.cos(model::RopeKind::local, 0), first);
  for (const model::RopeKind kind : {model::RopeKind::global, model::RopeKind::local}) {
    const std::vector<double> frequencies =
        model::rope_frequencies(a.ropes[static_cast<std::size_t>(kind)], a.head_dim);
    for (const std::uint32_t position : {0u, 1u, 1023u, 1024u, 2047u, 2048u, 2499u})
      for (std::size_t pair = 0; pair < frequencies.size(); ++pair) {
        BOOST_CHECK_EQUAL(tables.cos(kind, position)[pair],
                          static_cast<float>(std::cos(position * frequencies[pair])));
        BOOST_CHECK_EQUAL(tables.sin(kind, position)[pair],
                          static_cast<float>(std::sin(position * frequencies[pair])));
      }
  }
}

BOOST_AUTO_TEST_CASE(workers_meet_at_barriers) {
  for (const unsigned threads : {1u, 2u, 5u}) {
    Pool pool(threads);
    std::vector<int> counts(threads);
    std::atomic<int> wrong{0};
    const auto work = [&](unsigned worker) {
      for (int round = 1; round <= 200; ++round) {
        counts[worker] = round;
        pool.barrier();
        for (const int count : counts) wrong += count != round;
        pool.barrier();
      }
    };
    for (int run = 0; run < 20; ++run) pool.run(work);
    BOOST_CHECK_EQUAL(wrong.load(), 0);
    std::int64_t at = 0;
    for (unsigned worker = 0; worker < threads; ++worker) {
      const Share share = pool.share(37, worker, 16);
      BOOST_CHECK_EQUAL(share.begin, at);
      BOOST_CHECK(share.end == 37 || share.end % 16 == 0);
      at = share.end;
    }
    BOOST_CHECK_EQUAL(at, 37);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::cpu::test
