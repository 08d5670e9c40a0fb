// A log made with a host tier replays: swaps, demotions, prefetches, and copies that fail or are late.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "recorded.hpp"

namespace serveloop::test {
namespace {

constexpr std::uint64_t kCopies = 5000;  // more than any of the runs makes

Scene tiered(const char* executor, std::uint32_t lag, const char* scheduler, const char* preemption) {
  Scene scene = logged(executor, lag, 28);
  scene.host_blocks = 60;
  scene.scheduler = scheduler;
  scene.preemption = preemption;
  scene.eviction_options = toml::Table{{"ahead_share", 0.2}};
  return scene;
}

void disturb_copies(Stage& stage, std::uint64_t seed) {
  for (std::uint64_t copy = 0; copy < kCopies; ++copy) {
    if (mix(seed, copy) % 11 == 0) stage.copies().fail_copy(copy);
    if (mix(seed + 1, copy) % 7 == 0) stage.copies().delay_copy(copy, mix(seed + 2, copy) % 8'000'000);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(replay_host_tier)

BOOST_AUTO_TEST_CASE(what_moves_comes_out_equal) {
  std::uint64_t seed = 40;
  engine::Counters sum;
  for (const char* executor : {"hash", "simulated"})
    for (const char* scheduler : {"priority", "sarathi", "dlpm"})
      for (const std::uint32_t lag : {0u, 1u})
        for (const char* preemption : {"swap", "cost"})
          BOOST_TEST_CONTEXT(fmt::format("{} {} lag {} {}", executor, scheduler, lag, preemption)) {
            Stage stage(tiered(executor, lag, scheduler, preemption));
            disturb_copies(stage, ++seed);
            script_mixed_load(stage, seed, 80, seed % 2 == 0);
            const Recorded recorded = record(stage);
            check_replay(stage, recorded, false);
            check_replay(stage, recorded, true);
            const engine::Counters& c = stage.engine().counters();
            BOOST_TEST(c.copies > 0u);
            BOOST_TEST(c.copies < kCopies);
            for (const auto member : {&engine::Counters::swapped_out, &engine::Counters::swapped_in,
                                      &engine::Counters::demoted_blocks, &engine::Counters::brought_in_blocks,
                                      &engine::Counters::prefetched_blocks, &engine::Counters::copies_failed,
                                      &engine::Counters::copies_lost})
              sum.*member += c.*member;
          }
  BOOST_TEST(sum.swapped_out >= 100u);
  BOOST_TEST(sum.swapped_in >= 50u);
  BOOST_TEST(sum.demoted_blocks >= 100u);
  BOOST_TEST(sum.brought_in_blocks >= 100u);
  BOOST_TEST(sum.copies_failed >= 50u);
  BOOST_TEST(sum.copies_lost >= 20u);
  BOOST_TEST(sum.prefetched_blocks >= 20u);
}

// Nobody is swapped, so that all that comes back was prefetched.
BOOST_AUTO_TEST_CASE(prefetches_alone_come_out_equal) {
  std::uint64_t brought_in = 0;
  for (const char* executor : {"hash", "simulated"})
    for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT(executor << " lag " << lag) {
        Stage stage(tiered(executor, lag, "fcfs", "recompute"));
        disturb_copies(stage, lag);
        script_mixed_load(stage, 70 + lag, 60, false);
        const Recorded recorded = record(stage);
        check_replay(stage, recorded, false);
        check_replay(stage, recorded, true);
        BOOST_TEST(stage.engine().counters().swapped_out == 0u);
        brought_in += stage.engine().counters().brought_in_blocks;
      }
  BOOST_TEST(brought_in >= 20u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
