// Each mistake in handling KV must change tokens: otherwise the hash executor proves nothing.
#include <boost/test/unit_test.hpp>
#include <functional>

#include "driver.hpp"

namespace serveloop::execute::test {

namespace {

constexpr std::uint32_t kPrompt = 23, kCount = 8;
const Tokens kA = prompt_of(kPrompt, 1), kB = prompt_of(kPrompt, 2);

// Prefills row 0 with prompt A in blocks 0 .. and returns what it then generates, with a mistake made after
// the prefill.
Tokens after(const std::function<void(Driver&)>& mistake) {
  Driver driver;
  driver.begin(0, kA, blocks_from(0, 16));
  driver.begin(1, kB, blocks_from(20, 16));
  const Tokens first = driver.step({{0, 0, kPrompt, true}, {1, 0, kPrompt, true}});
  mistake(driver);
  Tokens got = {first[0]};
  for (std::uint32_t at = kPrompt; got.size() < kCount; ++at)
    got.push_back(driver.step({{0, at, 1, true}})[0]);
  return got;
}

Tokens expected() { return alone(kA, kCount); }

}  // namespace

BOOST_AUTO_TEST_SUITE(hash_executor_mistakes)

BOOST_AUTO_TEST_CASE(none_gives_the_right_tokens) {
  BOOST_TEST(after([](Driver&) {}) == expected());
}

BOOST_AUTO_TEST_CASE(a_wrong_block_in_the_table) {
  for (std::uint32_t index = 0; index < 6; ++index) {  // every block that holds KV
    BOOST_TEST(after([&](Driver& d) { d.change(0, index, 20 + index); }) != expected(),
               "entry " << index << " of another");
    BOOST_TEST(after([&](Driver& d) { d.change(0, index, 60); }) != expected(),
               "entry " << index << " never written");
    BOOST_TEST(after([&](Driver& d) { d.change(0, index, UINT32_MAX); }) != expected(), "no entry " << index);
    BOOST_TEST(after([&](Driver& d) { d.change(0, index, kBlocks); }) != expected(),
               "entry " << index << " not a block");
  }
}

BOOST_AUTO_TEST_CASE(two_entries_swapped) {
  BOOST_TEST(after([](Driver& d) {
               d.change(0, 1, 3);
               d.change(0, 3, 1);
             }) != expected());
}

BOOST_AUTO_TEST_CASE(another_sequence_writes_into_a_block) {
  for (std::uint32_t index = 0; index < 6; ++index)
    BOOST_TEST(after([&](Driver& d) {
                 d.change(1, 6, index);  // B's next block is one of A's
                 d.step({{1, kPrompt, 1, true}});
                 d.step({{1, kPrompt + 1, 1, true}});
               }) != expected(),
               "block " << index);
}

BOOST_AUTO_TEST_CASE(a_position_that_was_never_computed) {
  for (std::uint32_t skipped = 0; skipped + 1 < kPrompt; ++skipped) {
    Driver driver;
    driver.begin(0, kA, blocks_from(0, 16));
    if (skipped > 0) driver.step({{0, 0, skipped, false}});
    const Tokens got = driver.run(0, kPrompt, kPrompt, kCount, 0, skipped + 1);
    BOOST_TEST(got != expected(), "position " << skipped);
  }
}

BOOST_AUTO_TEST_CASE(a_hit_on_other_tokens) {
  for (std::uint32_t token = 0; token < 16; ++token) {
    Tokens other = kA;
    ++other[token];
    Driver driver;
    driver.begin(1, other, blocks_from(20, 16));
    driver.step({{1, 0, kPrompt, true}});
    Tokens table = blocks_from(20, 4);
    for (const std::uint32_t block : blocks_from(40, 8)) table.push_back(block);
    driver.begin(0, kA, table);
    BOOST_TEST(driver.run(0, kPrompt, kPrompt, kCount, 0, 16) != expected(), "token " << token);
  }
}

// The same tokens behind another prefix: layer 0 is right, layer 1 is not.
BOOST_AUTO_TEST_CASE(a_hit_behind_another_prefix) {
  Tokens other = kA;
  ++other[0];
  Driver driver;
  driver.begin(1, other, blocks_from(20, 16));
  driver.begin(2, kA, blocks_from(0, 16));
  driver.step({{1, 0, kPrompt, true}, {2, 0, kPrompt, true}});
  Tokens table = {0, 21, 22, 23};
  for (const std::uint32_t block : blocks_from(40, 8)) table.push_back(block);
  driver.begin(0, kA, table);
  BOOST_TEST(driver.run(0, kPrompt, kPrompt, kCount, 0, 16) != expected());
}

BOOST_AUTO_TEST_CASE(a_stale_block_of_an_earlier_life) {
  Driver driver;
  driver.begin(1, kB, blocks_from(0, 16));
  driver.step({{1, 0, kPrompt, true}});
  driver.begin(0, kA, blocks_from(0, 16));  // B's blocks, said to hold 8 tokens of A
  BOOST_TEST(driver.run(0, kPrompt, kPrompt, kCount, 0, 8) != expected());
}

BOOST_AUTO_TEST_CASE(a_wrong_token_fed_back) {
  Tokens generated = alone(kA, 3);
  Driver right, wrong;
  right.begin(0, kA, blocks_from(0, 16), 1, 0, generated);
  ++generated[1];
  wrong.begin(0, kA, blocks_from(0, 16), 1, 0, generated);
  const Tokens whole = alone(kA, kCount);
  BOOST_TEST(right.run(0, kPrompt + 3, 9, kCount - 3) == Tokens(whole.begin() + 3, whole.end()));
  BOOST_TEST(wrong.run(0, kPrompt + 3, 9, kCount - 3) != Tokens(whole.begin() + 3, whole.end()));
}

BOOST_AUTO_TEST_CASE(a_failed_step_leaves_garbage_until_recomputed) {
  const auto fail_and_go_on = [](bool recompute) {
    Driver driver;
    driver.begin(0, kA, blocks_from(0, 16));
    driver.executor.device().fail_step(0);
    driver.submit({{0, 0, 16, false}});
    const Collected done = driver.executor.collect();
    BOOST_TEST(done.failed);
    BOOST_TEST(!done.why.empty());
    if (recompute) driver.begin(0, kA, blocks_from(0, 16));
    return driver.run(0, kPrompt, kPrompt, kCount, 0, recompute ? 0 : 16);
  };
  BOOST_TEST(fail_and_go_on(true) == expected());
  BOOST_TEST(fail_and_go_on(false) != expected());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::test
