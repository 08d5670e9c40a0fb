// Hot swap under load: no request lost, no token changed; the old one serves until the flip, and goes on
// where the new one fails.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "shipped.hpp"

namespace serveloop::test {

namespace {

using policy::Choice;
using policy::Kind;

constexpr std::uint32_t kRequests = 120, kLongestPrompt = 90;

struct Traffic {
  std::vector<Ask> asks = mixed_asks(kRequests, 31, kLongestPrompt);
  Outputs reference = alone(asks);
};
const Traffic& traffic() {
  static const Traffic all;
  return all;
}

Setting setting(std::uint32_t lag) {
  Setting s;
  s.lag = lag;
  s.blocks = 36;
  s.token_budget = 40;
  s.gates = {{"hold", toml::Table{{"hold_us", 3000}}}};
  return s;
}

void check(World& world, std::uint64_t swaps) {
  world.run();
  check_law_1(world, traffic().asks, traffic().reference);
  check_ends(world, traffic().reference);
  check_idle(world);
  BOOST_CHECK_EQUAL(world.counters().swaps, swaps);
  BOOST_CHECK(world.counters().fallbacks.empty());
  BOOST_CHECK(world.engine().incidents().empty());
}

bool has_incident(const World& world, const char* text) {
  for (const std::string& incident : world.engine().incidents())
    if (incident.find(text) != std::string::npos) return true;
  return false;
}

// A scheduler that throws whenever it hears or is asked.
Choice throwing() { return {"bad-scheduler", toml::Table{{"mode", "exception"}, {"rate", 1}}}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(swap)

BOOST_AUTO_TEST_CASE(all_kinds_at_random_steps_under_load) {
  for (const std::uint32_t lag : {0u, 1u})
    for (std::uint64_t seed = 1; seed <= 6; ++seed) BOOST_TEST_CONTEXT("lag " << lag << ", seed " << seed) {
        World world(setting(lag), traffic().asks);
        std::uint64_t swaps = 0;
        for (std::uint64_t step = 0; step < 150; ++step) {
          const std::uint64_t draw = mix(seed, step);
          switch (draw % 16) {
            case 0: world.swap(Kind::scheduler, {draw / 16 % 2 != 0 ? "sarathi" : "priority", {}}); break;
            case 1: world.swap(Kind::scheduler, {kSchedulers[draw / 16 % kSchedulers.size()], {}}); break;
            case 2: world.swap(Kind::eviction, {draw / 16 % 2 != 0 ? "lru" : "slru", {}}); break;
            case 3: world.swap(Kind::preemption, {kPreemptions[draw / 16 % 5], {}}); break;
            case 4: {
              const auto number = static_cast<std::int64_t>(draw / 32 % 5000);
              if (draw / 16 % 2 != 0)
                world.swap_gate(0, {"hold", toml::Table{{"hold_us", number}}});
              else  // of another gate's by events, of one of its own kind's by state
                world.swap_gate(0,
                                {"token-bucket", toml::Table{{"rate", 2000 + 10 * number}, {"burst", 300}}});
              break;
            }
            default: world.one_step(); continue;
          }
          ++swaps;
          world.one_step();
        }
        BOOST_CHECK_GE(swaps, 20u);
        check(world, swaps);
      }
}

BOOST_AUTO_TEST_CASE(two_swaps_posted_at_once) {
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(setting(lag), traffic().asks);
    for (int i = 0; i < 20; ++i) world.one_step();
    world.swap(Kind::scheduler, {"sarathi", {}});
    world.swap(Kind::scheduler, {"priority", {}});
    world.swap(Kind::eviction, {"slru", {}});
    world.swap(Kind::eviction, {"lru", {}});
    world.one_step();
    BOOST_CHECK_EQUAL(world.engine().policies().scheduler->id(), "priority");
    check(world, 4);
  }
}

BOOST_AUTO_TEST_CASE(a_swap_while_idle_and_one_before_anything_came) {
  Setting s = setting(0);
  s.gates.clear();
  World world(s, {});
  world.swap(Kind::scheduler, {"sarathi", {}});
  world.one_step();
  BOOST_CHECK_EQUAL(world.engine().policies().scheduler->id(), "sarathi");
  world.send(traffic().asks.front());
  world.run();
  world.swap(Kind::scheduler, {"priority", {}});
  world.swap(Kind::eviction, {"slru", {}});
  world.one_step();
  BOOST_CHECK_EQUAL(world.counters().swaps, 3u);
  BOOST_CHECK_EQUAL(world.engine().policies().eviction->id(), "slru");
  world.send(traffic().asks.front());
  world.run();
  BOOST_CHECK(world.outputs().at({0, 0}) == traffic().reference.at({0, 0}));
  BOOST_CHECK(world.outputs().at({1, 0}) == traffic().reference.at({0, 0}));
  check_idle(world);
}

BOOST_AUTO_TEST_CASE(a_swap_that_throws_in_the_handover_leaves_the_old_one) {
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(setting(lag), traffic().asks);
    for (int i = 0; i < 20; ++i) world.one_step();
    const auto old = world.engine().policies();
    world.swap(Kind::scheduler,
               {"picky-scheduler", toml::Table{{"good_calls", 0}}});  // it hears by being asked, and throws
    world.one_step();
    BOOST_CHECK(world.engine().policies().scheduler == old.scheduler);
    BOOST_CHECK(has_incident(world, "swap to 'picky-scheduler' failed in the handover"));
    world.swap_gate(0, {"picky", toml::Table{{"good_calls", 0}}});
    world.swap_gate(7, {"hold", {}});
    world.one_step();
    BOOST_CHECK(world.engine().policies().gates == old.gates);
    BOOST_CHECK(has_incident(world, "no gate 7"));
    BOOST_CHECK_EQUAL(world.counters().swaps, 0u);
    BOOST_CHECK_EQUAL(world.engine().incidents().size(), 3u);
    world.run();
    check_ends(world, traffic().reference);
    check_idle(world);
    BOOST_CHECK(world.counters().fallbacks.empty());
  }
}

// To one that fails always, and from there back: the fallback takes every step between.
BOOST_AUTO_TEST_CASE(an_ejected_policy_can_be_replaced) {
  World world(setting(1), traffic().asks);
  world.one_step();
  world.swap(Kind::scheduler, throwing());
  for (int i = 0; i < 20; ++i) world.one_step();
  BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
  BOOST_CHECK(world.engine().policies().scheduler == nullptr);
  world.swap(Kind::scheduler, {"fcfs", {}});
  world.one_step();
  BOOST_REQUIRE(world.engine().policies().scheduler != nullptr);
  world.run();
  check_ends(world, traffic().reference);
  check_idle(world);
  BOOST_CHECK_EQUAL(world.counters().swaps, 2u);
}

// Thousands of waiting sequences are told in slices; the old scheduler serves in the meantime, and arrivals,
// cancels and ends go on.
BOOST_AUTO_TEST_CASE(a_swap_with_thousands_waiting_takes_several_steps) {
  constexpr std::uint32_t kWaiting = 4000;
  for (const std::uint32_t lag : {0u, 1u}) {
    std::vector<Ask> asks(kWaiting);
    for (std::uint32_t i = 0; i < kWaiting; ++i) {
      asks[i].spec.pieces = {{i % 50, 3 + i % 20}};
      asks[i].spec.max_tokens = 2 + i % 3;
      asks[i].spec.sampling.seed = i % 50;
    }
    Setting s;
    s.lag = lag;
    s.max_waiting = kWaiting + 500;
    s.max_sequences = 32;
    World world(s, asks);
    world.one_step();
    const auto old = world.engine().policies().scheduler;
    world.swap(Kind::scheduler, {"priority", {}});
    std::uint32_t steps = 0;
    for (; world.engine().policies().scheduler == old; ++steps) {
      BOOST_REQUIRE_LT(steps, 60u);
      BOOST_REQUIRE(world.one_step());
      world.tell(engine::Message::What::cancel, world.id_of(3000 + steps));
      world.send(asks[steps]);
    }
    BOOST_CHECK_GE(steps, 4u);
    BOOST_CHECK_EQUAL(world.engine().policies().scheduler->id(), "priority");
    world.run();
    BOOST_CHECK_EQUAL(world.ends().size(), kWaiting + steps);
    std::uint32_t cancelled = 0;
    for (const engine::Finished& end : world.ends()) cancelled += end.finish == SL_FINISH_CANCELLED;
    BOOST_CHECK_EQUAL(cancelled, steps);
    check_idle(world);
    BOOST_CHECK(world.counters().fallbacks.empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
