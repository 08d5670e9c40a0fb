// Law 1 with a second tier and the policies that are shipped: whichever trio decides who swaps, what is demoted, prefetched
// or kept in part, whatever trio takes over in the middle, and whatever copies do, a request's tokens are those it would
// get alone. test_host_tier.cpp has the same of a scheduler that draws its plans.
#include <fmt/format.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

#include "../sanitized.hpp"
#include "base/hash.hpp"
#include "shipped.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 160, kLongestPrompt = 96;
constexpr std::uint32_t kSmallest = (kLongestPrompt + 28 + kBlockTokens - 2) / kBlockTokens;
constexpr std::uint64_t kAtLeast = 20;

const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = mixed_asks(kRequests, 11, kLongestPrompt);
  return all;
}
const Outputs& reference() {
  static const Outputs outputs = alone(asks());
  return outputs;
}

// What has to take place for a run to say anything of the second tier.
struct Tally {
  std::uint64_t swapped_out = 0, swapped_in = 0, demoted = 0, prefetched = 0, kept = 0, failed = 0, lost = 0;

  void add(const World& world) {
    const engine::Counters& c = world.counters();
    swapped_out += c.swapped_out, swapped_in += c.swapped_in;
    demoted += c.demoted_blocks, prefetched += c.prefetched_blocks;
    kept += decided(world.engine(), "keep");
    failed += c.copies_failed, lost += c.copies_lost;
  }
  std::string text() const {
    return fmt::format(
        "{} out, {} in, {} blocks demoted, {} prefetched, {} kept in part, {} copies failed, {} lost",
        swapped_out, swapped_in, demoted, prefetched, kept, failed, lost);
  }
};

// Of each kind one; the rest is drawn.
Setting trio(const char* scheduler, const char* eviction, const char* preemption, std::uint64_t run) {
  std::uint64_t k = 0;
  const auto draw = [&](std::uint32_t n) { return static_cast<std::uint32_t>(mix(17, run * 16 + k++) % n); };
  Setting s;
  s.scheduler = scheduler, s.eviction = eviction, s.preemption = preemption;
  s.blocks = kSmallest * (3 + draw(3)) / 2;
  s.host_blocks = draw(2) == 0 ? kSmallest : 200;
  s.swap_block_ns = draw(2) == 0 ? kFastCopy : kSlowCopy;
  s.token_budget = std::array{24u, 64u, 256u}[draw(3)];
  if (draw(2) == 0) s.eviction_options = toml::Table{{"ahead_share", 0.25}};
  return s;
}

// Of all copies a ninth fails and a seventh is late, by up to 20 steps.
void trouble(World& world) {
  for (std::uint64_t copy = 0; copy < 5000; ++copy) {
    if (mix(3, copy) % 9 == 0) world.executor().copies().fail_copy(copy);
    if (mix(4, copy) % 7 == 0) world.executor().copies().delay_copy(copy, mix(5, copy) % 20'000'000);
  }
}

void check(World& world) {
  for (std::uint64_t i = 0; world.one_step(); ++i) {
    BOOST_REQUIRE_LT(i, 50000u);
    if (i % 32 == 0) BOOST_REQUIRE_EQUAL(world.engine().audit(false), "");
  }
  check_law_1(world, asks(), reference());
  check_ends(world, reference());
  check_idle(world);
  for (const auto& [what, count] : world.counters().fallbacks)
    BOOST_ERROR(fmt::format("kind {} fell back {} times, reason {}", what.first, count, what.second));
}

void check_totals(const char* what, const Tally& all) {
  BOOST_TEST_MESSAGE(what << ": " << all.text());
  BOOST_TEST_CONTEXT(what) {
    BOOST_CHECK_GE(all.swapped_out, kAtLeast);
    BOOST_CHECK_GE(all.swapped_in, kAtLeast);
    BOOST_CHECK_GE(all.demoted, kAtLeast);
    BOOST_CHECK_GE(all.prefetched, kAtLeast);
    BOOST_CHECK_GE(all.kept, kAtLeast);
  }
}

// By policy: each must have done its own part, not only some other one.
void check_parts(const std::map<std::string, Tally>& by) {
  for (const auto& [policy, done] : by) BOOST_TEST_MESSAGE(policy << ": " << done.text());
  for (const char* scheduler : kSchedulers) BOOST_TEST_CONTEXT(scheduler) {
      BOOST_CHECK_GE(by.at(scheduler).swapped_in, kAtLeast);
      // Who goes by hits on the device leaves little to be fetched.
      const bool by_hits = scheduler == std::string_view("lpm") || scheduler == std::string_view("dlpm");
      BOOST_CHECK_GE(by.at(scheduler).prefetched, by_hits ? kAtLeast / 4 : kAtLeast);
    }
  for (const char* eviction : kEvictions) BOOST_TEST_CONTEXT(eviction)
  BOOST_CHECK_GE(by.at(eviction).demoted, kAtLeast);
  for (const char* preemption : {"swap", "cost"}) BOOST_TEST_CONTEXT(preemption) {
      BOOST_CHECK_GE(by.at(preemption).swapped_out, kAtLeast);
      BOOST_CHECK_GE(by.at(preemption).swapped_in, kAtLeast);
    }
  BOOST_CHECK_GE(by.at("cost").kept, kAtLeast);
  for (const char* preemption : {"recompute", "least-progress", "most-blocks"})  // nor does anybody else swap
    BOOST_CHECK_EQUAL(by.at(preemption).swapped_out, 0u);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(host_law_1)

BOOST_AUTO_TEST_CASE(every_trio) {
  std::vector<const char*> schedulers = kSchedulers;
  schedulers.insert(schedulers.end(), kRoomFirst.begin(), kRoomFirst.end());
  schedulers.push_back("composed");
  Tally steady, swapping, troubled;
  std::map<std::string, Tally> by;  // by policy, where none is swapped
  std::uint64_t run = 0, worlds = 0;
  for (const char* scheduler : schedulers)
    for (const char* eviction : kEvictions)
      for (const char* preemption : kPreemptions)
        for (const std::uint32_t lag : {0u, 1u})
          for (const bool prefix_cache : {true, false})
            for (const bool swaps : {false, true}) {
              Setting s = trio(scheduler, eviction, preemption, ++run);
              if (mix(31, run) % (kUnderAsan ? 48 : 12) != 0) continue;
              ++worlds;
              s.lag = lag, s.prefix_cache = prefix_cache;
              if (swaps) s.swaps = random_swaps(run);
              const bool in_trouble = mix(29, run) % 2 == 0;
              BOOST_TEST_CONTEXT(s.name() << ", run " << run << ", trouble " << in_trouble) {
                World world(s, asks());
                if (in_trouble) trouble(world);
                check(world);
                BOOST_CHECK_EQUAL(world.counters().swaps, s.swaps.size());
                (swaps ? swapping : steady).add(world);
                if (in_trouble) troubled.add(world);
                if (!swaps)
                  for (const char* policy : {scheduler, eviction, preemption}) by[policy].add(world);
              }
            }
  BOOST_CHECK_GE(worlds, kUnderAsan ? 50u : 200u);
  check_totals("without hot swaps", steady);
  check_totals("with hot swaps", swapping);
  check_totals("with copies that fail or are late", troubled);
  BOOST_CHECK_GE(troubled.failed, kAtLeast);
  BOOST_CHECK_GE(troubled.lost, kAtLeast);
  if (!kUnderAsan) check_parts(by);
}

// Little is swapped there, but what an earlier scheduler had swapped comes back.
BOOST_AUTO_TEST_CASE(those_who_look_for_room_first) {
  Tally all;
  std::uint64_t run = 0;
  for (const char* scheduler : kRoomFirst)
    for (const std::uint32_t lag : {0u, 1u})
      for (const bool prefix_cache : {true, false})
        for (const bool swaps : {false, true}) {
          Setting s = trio(scheduler, kEvictions[run % kEvictions.size()], "swap", run + 1);
          ++run;
          s.lag = lag, s.prefix_cache = prefix_cache;
          if (swaps) s.swaps = {{40, policy::Kind::scheduler, {scheduler, {}}}}, s.scheduler = "fcfs";
          BOOST_TEST_CONTEXT(s.name() << ", run " << run) {
            World world(s, asks());
            check(world);
            BOOST_CHECK_EQUAL(world.counters().swaps, s.swaps.size());
            if (swaps) all.add(world);
          }
        }
  BOOST_CHECK_GE(all.swapped_in, kAtLeast);
}

// At lag 1 the last token of one that yields may be in flight: it ends with it, and to move its blocks would be for nothing.
BOOST_AUTO_TEST_CASE(who_is_moved_out_comes_back) {
  std::vector<Ask> plain(160);
  for (std::uint64_t i = 0; i < plain.size(); ++i) {
    plain[i].spec.pieces = {{1000 + i, static_cast<std::uint32_t>(16 + mix(7, i) % 64)}};
    plain[i].spec.max_tokens = static_cast<std::uint32_t>(4 + mix(8, i) % 80);  // grows by several blocks
  }
  for (const char* scheduler : kSchedulers) {
    Setting s = trio(scheduler, "lru", "swap", 3);
    s.lag = 1, s.host_blocks = 400, s.prefix_cache = false;
    BOOST_TEST_CONTEXT(s.name()) {
      World world(s, plain);
      world.run();
      check_idle(world);
      const engine::Counters& c = world.counters();
      BOOST_CHECK_GE(c.swapped_out, kAtLeast);
      BOOST_CHECK_GT(c.preemptions, c.swapped_out);  // those who were about to end
      BOOST_CHECK_EQUAL(c.swapped_in, c.swapped_out - c.copies_lost);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
