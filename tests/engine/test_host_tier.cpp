// Law 1 with a second tier: whatever is swapped, demoted, prefetched or kept in part, and whatever copies do, a request's
// tokens are those it would get alone, and no block of either tier is lost.
#include <fmt/format.h>

#include <array>
#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "engine/records.hpp"
#include "shipped.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 300, kLongestPrompt = 96;
constexpr std::uint32_t kSmallest = (kLongestPrompt + 28 + kBlockTokens - 2) / kBlockTokens;

const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = mixed_asks(kRequests, 7, kLongestPrompt);
  return all;
}
const Outputs& reference() {
  static const Outputs outputs = alone(asks());
  return outputs;
}

// Everything that a plan can say, drawn; every eviction demotes.
Setting drawn(std::uint32_t blocks, std::uint32_t host_blocks, std::uint32_t lag, bool prefix_cache) {
  Setting s;
  s.scheduler = "chaos";
  s.scheduler_options = toml::Table{{"seed", std::int64_t{blocks + 7 * lag}}};
  s.eviction = "bad-eviction";
  s.eviction_options = toml::Table{{"mode", "demote"}, {"rate", std::int64_t{1}}};
  s.preemption = "";
  s.blocks = blocks;
  s.host_blocks = host_blocks;
  s.token_budget = 60;
  s.lag = lag;
  s.prefix_cache = prefix_cache;
  return s;
}

void run(World& world) {
  for (std::uint64_t i = 0; world.one_step() && i < 20000; ++i)
    if (i % 16 == 0) BOOST_REQUIRE_EQUAL(world.engine().audit(false), "");
  world.run();
  for (int i = 0; i < 50 && world.engine().busy(); ++i) {  // whatever was parked for ever is let go
    for (std::size_t ask = 0; ask < kRequests; ++ask)
      world.tell(engine::Message::What::release, world.id_of(ask));
    world.run();
  }
  check_law_1(world, asks(), reference());
  check_idle(world);
  for (const auto& [which, count] : world.counters().fallbacks)
    BOOST_CHECK_MESSAGE(
        which.second == SL_REASON_NO_PROGRESS,
        fmt::format("kind {} fell back {} times, reason {}", which.first, count, which.second));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(host_tier)

BOOST_AUTO_TEST_CASE(law_1_with_all_verbs) {
  std::uint64_t swapped_in = 0;
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t blocks : {2 * kSmallest, 3 * kSmallest})
      for (const std::uint32_t host : {kSmallest, 200u})
        for (const bool prefix_cache : {true, false}) {
          const Setting s = drawn(blocks, host, lag, prefix_cache);
          BOOST_TEST_CONTEXT(s.name()) {
            World world(s, asks());
            run(world);
            const engine::Counters& c = world.counters();
            BOOST_CHECK_GE(c.swapped_out, 20u);
            BOOST_CHECK_GE(c.swapped_in, 20u);
            if (prefix_cache) {
              BOOST_CHECK_GE(c.demoted_blocks, 20u);
              if (host > kSmallest) BOOST_CHECK_GE(c.prefetched_blocks, 20u);
            }
            swapped_in += c.swapped_in;
            BOOST_TEST_MESSAGE(
                fmt::format("{}: {} out, {} in, {} lost, {} demoted, {} prefetched, {} host full", s.name(),
                            c.swapped_out, c.swapped_in, c.copies_lost, c.demoted_blocks, c.prefetched_blocks,
                            c.host_full));
          }
        }
  BOOST_CHECK_GE(swapped_in, 400u);
}

// The same under many draws of policies and sizes, with steps and copies that fail and copies that are late.
BOOST_AUTO_TEST_CASE(law_1_under_many_draws, *boost::unit_test::disabled()) {
  std::uint64_t swapped_in = 0, demoted = 0, prefetched = 0, kept = 0, failed = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    std::uint64_t k = 0;
    const auto draw = [&](std::uint64_t n) { return mix(seed, k++) % n; };
    const auto blocks = static_cast<std::uint32_t>(kSmallest + draw(3 * kSmallest));
    const auto most_host = static_cast<std::uint32_t>(1 + draw(200));
    const auto host = static_cast<std::uint32_t>(1 + draw(most_host));
    const auto lag = static_cast<std::uint32_t>(draw(2));
    Setting s = drawn(blocks, host, lag, draw(4) > 0);
    s.scheduler_options = toml::Table{{"seed", static_cast<std::int64_t>(seed)}};
    if (const std::uint64_t which = draw(4); which > 1) {
      s.eviction = which == 2 ? "lru" : "slru";
      s.eviction_options = {};
    }
    s.preemption = std::array{"", "swap", "cost", "least-progress"}[draw(4)];
    s.token_budget = static_cast<std::uint32_t>(20 + draw(100));
    BOOST_TEST_CONTEXT(s.name() << ", seed " << seed) {
      World world(s, asks());
      for (std::uint64_t step = 5; seed % 4 == 0 && step < 400; step += 1 + draw(30))
        world.executor().device().fail_step(step);
      for (std::uint64_t copy = 0; seed % 3 > 0 && copy < 5000; ++copy) {
        if (draw(9) == 0) world.executor().copies().fail_copy(copy);
        if (draw(7) == 0) world.executor().copies().delay_copy(copy, draw(20'000'000));
      }
      run(world);
      const engine::Counters& c = world.counters();
      swapped_in += c.swapped_in, demoted += c.demoted_blocks, prefetched += c.prefetched_blocks;
      kept += decided(world.engine(), "keep"), failed += c.copies_failed;
    }
  }
  BOOST_TEST_MESSAGE(fmt::format("{} in, {} demoted, {} prefetched, {} kept in part, {} failed", swapped_in,
                                 demoted, prefetched, kept, failed));
  for (const std::uint64_t count : {swapped_in, demoted, prefetched, kept, failed})
    BOOST_CHECK_GE(count, 20u);
}

// A copy that is late keeps its sequence waiting, one that fails lets it recompute: neither costs a token.
BOOST_AUTO_TEST_CASE(late_and_failing_copies_cost_no_token) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const Setting s = drawn(2 * kSmallest, 100, lag, true);
    World world(s, asks());
    for (std::uint64_t copy = 0; copy < 5000; ++copy) {
      if (mix(3, copy) % 5 == 0) world.executor().copies().fail_copy(copy);
      if (mix(4, copy) % 7 == 0) world.executor().copies().delay_copy(copy, mix(5, copy) % 20'000'000);
    }
    run(world);
    const engine::Counters& c = world.counters();
    BOOST_CHECK_GE(c.copies_failed, 20u);
    BOOST_CHECK_GE(c.copies_lost, 5u);
    BOOST_CHECK_GE(c.swapped_in, 20u);
  }
}

// Failed steps with copies under way: what was in host memory before stays good, and nothing that such a step wrote is
// taken for good, there or on the device.
BOOST_AUTO_TEST_CASE(failed_steps_beside_copies) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const char* preemption : {"", "swap"}) {
      Setting s = drawn(2 * kSmallest, 100, lag, true);
      s.preemption = preemption;
      BOOST_TEST_CONTEXT(s.name()) {
        World world(s, asks());
        for (std::uint64_t step = 5; step < 400; step += 13) world.executor().device().fail_step(step);
        run(world);
        BOOST_CHECK_GE(world.counters().failed_steps, 10u);
      }
    }
}

// The first request recomputes what it had, of which step 12 writes its second block. Step 13, planned before step 12 came
// back, lets it yield but for two blocks, then swaps it to make room for the other. Step 12 fails: that block must not come
// back as good from the host.
BOOST_AUTO_TEST_CASE(what_a_step_in_flight_writes_is_not_swapped_out) {
  std::vector<Ask> two(2);
  two[0].spec.pieces = {{1, kBlockTokens - 1}};
  two[0].spec.max_tokens = 14;
  two[1].spec.pieces = {{2, 3 * kBlockTokens}};
  two[1].spec.max_tokens = 2;
  Setting s;
  s.scheduler = "";
  s.lag = 1;
  s.prefix_cache = false;
  s.blocks = 4;
  s.host_blocks = 8;
  World world(s, two);
  world.executor().device().fail_step(12);
  observe::Writer bytes;
  world.engine().set_override([&](observe::Item item) -> std::optional<std::span<const std::uint8_t>> {
    const std::uint64_t step = world.engine().steps();
    const auto seq = [&](std::size_t ask) { return world.row_of(world.id_of(ask)).id; };
    bytes.clear();
    bytes.u64(SL_REASON_NONE);
    if (item == observe::Item::preempt && step == 13) {
      engine::encode_rows(std::vector<sl_yield>{{seq(0), SL_YIELD_SWAP, 0, 0}}, bytes);
      return bytes.bytes();
    }
    std::vector<sl_entry> plan;
    if (step == 0) plan = {{seq(0), SL_ADMIT, 0, kBlockTokens - 1, 0, 0, 0}};
    if (step > 0 && step < 10) plan = {{seq(0), SL_RUN, 0, 1, 0, 0, 0}};
    if (step == 10) plan = {{seq(0), SL_PREEMPT, 0, 0, 0, 0, SL_YIELD_RECOMPUTE}};
    if (step == 11) plan = {{seq(0), SL_ADMIT, 0, kBlockTokens, 0, 0, 0}};
    if (step == 12) plan = {{seq(0), SL_RUN, 0, kBlockTokens, 0, 0, 0}};
    if (step == 13)
      plan = {{seq(0), SL_PREEMPT, 0, 0, 0, 2, SL_YIELD_KEEP},
              {seq(1), SL_ADMIT, 0, 3 * kBlockTokens, 0, 0, 0}};
    if (step > 13 && world.end_of(world.id_of(1)) != nullptr) {
      const std::vector<requests::Slot> slots = world.slots_of(world.id_of(0));
      if (!slots.empty() && world.row_of(world.id_of(0)).state == SL_SWAPPED)
        plan = {{seq(0), SL_SWAP_IN, 0, 0, 0, 0, 0}};
    }
    if (item != observe::Item::plan || plan.empty()) return std::nullopt;
    engine::encode_plan(plan, {}, world.engine().requests(), bytes);
    return bytes.bytes();
  });
  world.run();
  BOOST_CHECK_EQUAL(world.counters().failed_steps, 1u);
  BOOST_CHECK_EQUAL(world.counters().swapped_out, 1u);
  BOOST_CHECK_EQUAL(world.counters().swapped_in, 1u);
  check_law_1(world, two, alone(two));
  check_idle(world);
}

// One request at a time. The third drives the second's prompt out to the host, from where the fourth, which has the same
// one, prefetches it: a hit, and no token of it is computed again.
BOOST_AUTO_TEST_CASE(what_a_prefetch_brought_is_hit) {
  Setting s;
  s.eviction_options = toml::Table{{"ahead_share", 0.5}};
  s.blocks = 20;
  s.host_blocks = 40;
  std::vector<Ask> one_by_one;
  for (const std::uint64_t text : {1, 2, 3, 2}) {
    Ask ask;
    ask.at_step = 50 * one_by_one.size();
    ask.spec.pieces = {{text, 64}};
    ask.spec.max_tokens = 2;
    one_by_one.push_back(ask);
  }
  World world(s, one_by_one);
  world.run();
  check_idle(world);
  BOOST_CHECK_GE(world.counters().prefetched_blocks, 5u);
  BOOST_CHECK_EQUAL(world.end_of(world.id_of(3))->hit_tokens, 64 - kBlockTokens);
  BOOST_CHECK_EQUAL(world.counters().computed_tokens, 3 * (64 + 1) + kBlockTokens + 1);
  BOOST_CHECK(world.outputs().at({1, 0}) == world.outputs().at({3, 0}));
}

// One host block: nearly every wish is refused its room, and answered by a drop or a recompute.
BOOST_AUTO_TEST_CASE(a_full_host_tier_costs_recomputes) {
  World world(drawn(2 * kSmallest, 1, 0, true), asks());
  run(world);
  BOOST_CHECK_GE(world.counters().host_full, 20u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
