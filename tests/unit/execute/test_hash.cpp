// Law 1 on the hash executor: a sequence's tokens do not depend on how it was run.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>

#include "driver.hpp"

namespace serveloop::execute::test {

namespace {
constexpr std::uint32_t kPrompt = 23, kCount = 17;
const Tokens kA = prompt_of(kPrompt, 1);
}  // namespace

BOOST_AUTO_TEST_SUITE(hash_executor)

BOOST_AUTO_TEST_CASE(tokens_are_varied_and_small) {
  const Tokens tokens = alone(kA, 100);
  BOOST_TEST(std::set<std::uint32_t>(tokens.begin(), tokens.end()).size() > 80u);
  // Some id of a thousand comes up again within a few thousand tokens, so stop ids are met.
  BOOST_TEST(*std::max_element(tokens.begin(), tokens.end()) < HashExecutor::kVocabulary + 3);
}

BOOST_AUTO_TEST_CASE(any_chunking_at_any_lag) {
  const Tokens expected = alone(kA, kCount);
  for (const std::uint32_t lag : {0u, 1u})
    for (std::uint32_t chunk = 1; chunk <= kPrompt; ++chunk) {
      Driver driver;
      driver.begin(0, kA, blocks_from(0, 16));
      BOOST_TEST(driver.run(0, kPrompt, chunk, kCount, lag) == expected,
                 "chunks of " << chunk << ", lag " << lag);
    }
}

BOOST_AUTO_TEST_CASE(any_placement_of_blocks_and_any_row) {
  const Tokens expected = alone(kA, kCount);
  for (std::uint32_t stride : {3u, 5u, 11u, 63u}) {
    Tokens table(16);
    for (std::uint32_t i = 0; i < 16; ++i) table[i] = (i * stride + 7) % kBlocks;
    Driver driver;
    driver.begin(stride % kRows, kA, table);
    BOOST_TEST(driver.run(stride % kRows, kPrompt, 6, kCount) == expected);
  }
}

BOOST_AUTO_TEST_CASE(tables_may_grow_as_the_sequence_does) {
  Driver driver;
  driver.begin(0, kA, blocks_from(30, 6));  // the prompt's
  Tokens got = driver.run(0, kPrompt, 8, 1);
  for (std::uint32_t at = kPrompt; got.size() < kCount; ++at) {
    if (at % kBlockTokens == 0) driver.change(0, at / kBlockTokens, at / kBlockTokens);
    got.push_back(driver.step({{0, at, 1, true}}).front());
  }
  BOOST_TEST(got == alone(kA, kCount));
}

BOOST_AUTO_TEST_CASE(company_changes_nothing) {
  const Tokens b = prompt_of(9, 2);
  Driver driver;
  driver.begin(3, kA, blocks_from(0, 16), 1);
  driver.begin(5, b, blocks_from(20, 16), 2, 1);
  Tokens got_a, got_b = {driver.step({{5, 0, 9, true}, {3, 0, 10, false}})[0]};
  std::uint32_t at_b = 9;
  for (std::uint32_t at = 10; got_a.size() < kCount; ++at_b) {
    const std::uint32_t tokens = at < kPrompt ? kPrompt - at : 1;
    const Tokens got = driver.step({{3, at, tokens, true}, {5, at_b, 1, true}});
    got_a.push_back(got[0]);
    got_b.push_back(got[1]);
    at += tokens;
  }
  BOOST_TEST(got_a == alone(kA, kCount));
  BOOST_TEST(got_b == alone(b, kCount + 1, 2, 1));
}

BOOST_AUTO_TEST_CASE(a_shared_prefix_changes_nothing) {
  Tokens b = kA;  // the same first 5 blocks
  b.resize(5 * kBlockTokens);
  b.insert(b.end(), {5, 6, 7, 8, 9, 10});
  const Tokens expected = alone(b, kCount, 9);
  Driver driver;
  driver.begin(0, kA, blocks_from(0, 16));
  driver.run(0, kPrompt, 8, 3);
  Tokens table = blocks_from(0, 5);
  for (const std::uint32_t block : blocks_from(40, 11)) table.push_back(block);
  driver.begin(1, b, table, 9);
  BOOST_TEST(driver.run(1, static_cast<std::uint32_t>(b.size()), 3, kCount, 0, 5 * kBlockTokens) == expected);
}

BOOST_AUTO_TEST_CASE(a_block_being_filled_can_be_hit_in_the_same_step) {
  const Tokens expected = alone(kA, 2, 9);
  for (const bool filler_first : {true, false}) {
    Driver driver;
    Tokens table = blocks_from(0, 4);  // 16 of 23 tokens, which row 0 fills in this step
    for (const std::uint32_t block : blocks_from(40, 8)) table.push_back(block);
    driver.begin(0, kA, blocks_from(0, 12));
    driver.begin(1, kA, table, 9);
    std::vector<BatchRow> rows = {{0, 0, kPrompt, true}, {1, 16, kPrompt - 16, true}};
    if (!filler_first) std::swap(rows[0], rows[1]);
    BOOST_TEST(driver.step(rows)[filler_first ? 1 : 0] == expected[0]);
    BOOST_TEST(driver.step({{1, kPrompt, 1, true}})[0] == expected[1]);
  }
}

BOOST_AUTO_TEST_CASE(a_preempted_sequence_goes_on_where_it_was) {
  const Tokens expected = alone(kA, kCount);
  Driver driver;
  driver.begin(0, kA, blocks_from(0, 16));
  Tokens got = driver.run(0, kPrompt, 8, 6);
  driver.begin(1, prompt_of(40, 3), blocks_from(0, 16));  // another takes its blocks
  driver.run(1, 40, 40, 4);
  driver.begin(2, kA, blocks_from(20, 16), 1, 0, got);
  for (const std::uint32_t token : driver.run(2, kPrompt + 6, 5, kCount - 6)) got.push_back(token);
  BOOST_TEST(got == expected);
}

BOOST_AUTO_TEST_CASE(seed_fork_and_prompt_each_matter) {
  const Tokens base = alone(kA, kCount);
  BOOST_TEST(base != alone(kA, kCount, 2));
  BOOST_TEST(base != alone(kA, kCount, 1, 1));
  for (std::uint32_t i = 0; i < kPrompt; ++i) {
    Tokens other = kA;
    ++other[i];
    BOOST_TEST(base != alone(other, kCount), "token " << i);
  }
}

BOOST_AUTO_TEST_CASE(tokens_outlive_the_next_submit_at_lag_1) {
  Driver driver;
  driver.begin(0, kA, blocks_from(0, 16));
  driver.submit({{0, 0, kPrompt, true}});
  driver.submit({{0, kPrompt, 1, true}});
  const Collected first = driver.executor.collect();
  BOOST_TEST(first.step == 0u);
  BOOST_TEST(first.tokens[0] == alone(kA, 1)[0]);
  BOOST_TEST(driver.executor.collect().step == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::test
