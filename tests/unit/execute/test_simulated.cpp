// The simulated executor: its times are the cost model's, its tokens depend on (seed, fork, position) alone.
#include <boost/test/unit_test.hpp>

#include "base/virtual_clock.hpp"
#include "driver.hpp"
#include "execute/simulated.hpp"

namespace serveloop::execute::test {

namespace {

struct Rig {
  VirtualClock clock;
  SimulatedExecutor executor{clock, small_cost(), kRows};
  std::uint64_t step = 0;

  void begin(std::uint32_t row, std::uint64_t seed, std::uint32_t fork) {
    const Sampling sampling{.seed = seed};
    const Begin begin{row, fork, &sampling, 10, 100, {}, {}};
    executor.submit({step++, 0, 0, 0, {&begin, 1}, {}, {}, {}});
    executor.collect();
  }
  void submit(const std::vector<BatchRow>& rows) { executor.submit(batch_of(step++, {}, {}, rows)); }
  Collected run(const std::vector<BatchRow>& rows) {
    submit(rows);
    return executor.collect();
  }
};

// 1000 + 2 x 100 + 2 x (101 + 51) for the decodes; 50 x 30 + 0.5 x (30 x 20 + 30 x 31 / 2) for the chunk.
const std::vector<BatchRow> kMixed = {{0, 100, 1, true, true}, {1, 20, 30, false}, {2, 50, 1, true, true}};
constexpr std::uint64_t kMixed_ns = 1000 + 200 + 304 + 1500 + 532;  // of 532.5: whole nanoseconds
constexpr std::uint64_t kDecodes_ns = 1000 + 200 + 304;

}  // namespace

BOOST_AUTO_TEST_SUITE(simulated_executor)

BOOST_AUTO_TEST_CASE(a_step_takes_what_the_cost_model_says) {
  Rig rig;
  rig.clock.wait_until(5000);
  const Collected done = rig.run(kMixed);
  BOOST_TEST(done.device_start_ns == 5000u);
  BOOST_TEST(done.device_end_ns - done.device_start_ns <= kMixed_ns + 1);
  BOOST_TEST(done.device_end_ns - done.device_start_ns >= kMixed_ns);
  BOOST_TEST(done.decode_ns == kDecodes_ns);
  BOOST_TEST(rig.clock.now_ns() == done.device_end_ns);
  BOOST_TEST(!done.failed);
  BOOST_TEST(done.tokens.size() == kMixed.size());
}

// A prompt's last token alone is a chunk of prefill, though it is one token and samples.
BOOST_AUTO_TEST_CASE(one_token_of_a_prompt_is_no_decode) {
  Rig rig;
  const Collected done = rig.run({{0, 40, 1, true, false}});
  BOOST_TEST(done.decode_ns == 1000u);                // the step itself
  BOOST_TEST(done.device_end_ns == 1000u + 50 + 20);  // 50 a token, 0.5 x (40 + 1) pairs
}

BOOST_AUTO_TEST_CASE(a_step_behind_another_starts_at_its_end) {
  Rig rig;
  rig.submit(kMixed);
  rig.clock.wait_until(100);
  rig.submit(kMixed);  // lag 1
  const Collected first = rig.executor.collect();
  BOOST_TEST(first.device_start_ns == 0u);
  BOOST_TEST(rig.clock.now_ns() == first.device_end_ns);
  rig.clock.wait_until(first.device_end_ns + 50);  // the host is late for its next submit, not for this step
  const Collected second = rig.executor.collect();
  BOOST_TEST(second.device_start_ns == first.device_end_ns);
  BOOST_TEST(second.device_end_ns == 2 * first.device_end_ns);
  BOOST_TEST(rig.run(kMixed).device_start_ns == second.device_end_ns);
}

BOOST_AUTO_TEST_CASE(faults_hit_their_step_alone) {
  Rig rig;
  const std::uint64_t plain_ns = rig.run(kMixed).device_end_ns;
  rig.executor.device().delay_step(1, 50'000'000);
  rig.executor.device().fail_step(2);
  const Collected late = rig.run(kMixed);
  BOOST_TEST(late.device_end_ns - late.device_start_ns == plain_ns + 50'000'000);
  BOOST_TEST(late.decode_ns == kDecodes_ns);
  BOOST_TEST(!late.failed);
  const Collected failed = rig.run(kMixed);
  BOOST_TEST(failed.failed);
  BOOST_TEST(!failed.why.empty());
  BOOST_TEST(failed.device_end_ns - failed.device_start_ns == plain_ns);
  BOOST_TEST(!rig.run(kMixed).failed);
}

BOOST_AUTO_TEST_CASE(tokens_depend_on_seed_fork_and_position_alone) {
  Rig rig;
  rig.begin(0, 7, 0);
  rig.begin(1, 7, 0);
  rig.begin(2, 7, 1);
  rig.begin(3, 8, 0);
  const std::vector<BatchRow> rows = {
      {0, 9, 1, true, true}, {1, 0, 10, true}, {2, 9, 1, true}, {3, 9, 1, true}, {0, 10, 1, true, true}};
  const Collected done = rig.run(rows);
  const Tokens t(done.tokens.begin(), done.tokens.end());
  BOOST_TEST(t[0] == t[1]);
  BOOST_TEST(t[0] != t[2]);
  BOOST_TEST(t[0] != t[3]);
  BOOST_TEST(t[0] != t[4]);
  for (const std::uint32_t token : t) BOOST_TEST((token >= 3 && token < 32'003));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::test
