// What a new instance is told in a hot swap: every fact once, none missing, also where the one before had failed to
// listen. `strict` keeps its picture by events alone and throws where they contradict it.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

using policy::Choice;
using policy::Kind;

Choice strict(std::int64_t fails_at = 0) { return {"strict", toml::Table{{"fails_at", fails_at}}}; }

Setting crowded(std::uint32_t lag) {
  Setting s;
  s.scheduler = "strict";
  s.lag = lag;
  s.blocks = 36;
  s.token_budget = 40;
  s.gates = {{"hold", toml::Table{{"hold_us", 3000}}}};
  return s;
}

void pause_and_resume_some(World& world, std::uint64_t step) {
  const std::uint64_t request = world.id_of(step / 4 % 40);
  if (request != 0)
    world.tell(step % 4 < 2 ? engine::Message::What::pause : engine::Message::What::resume, request,
               SL_NEVER);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(handover)

BOOST_AUTO_TEST_CASE(without_a_swap_everything_is_told_once) {
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(crowded(lag), mixed_asks(80, 3, 60));
    world.run();
    BOOST_CHECK(world.counters().fallbacks.empty());
    BOOST_CHECK_GE(world.counters().preemptions, 10u);
  }
}

BOOST_AUTO_TEST_CASE(a_new_instance_is_told_every_fact_once) {
  for (const std::uint32_t lag : {0u, 1u})
    for (std::uint64_t every = 1; every <= 7; ++every)
      BOOST_TEST_CONTEXT("lag " << lag << ", every " << every) {
        World world(crowded(lag), mixed_asks(80, every, 60));
        std::uint64_t swaps = 0;
        for (std::uint64_t step = 0; step < 140; ++step) {
          if (step % every == 0) {
            world.swap(Kind::scheduler, strict());
            ++swaps;
          }
          pause_and_resume_some(world, step);
          world.one_step();
        }
        for (std::size_t ask = 0; ask < 40; ++ask)
          world.tell(engine::Message::What::resume, world.id_of(ask));
        world.run();
        BOOST_CHECK_EQUAL(world.counters().swaps, swaps);
        BOOST_CHECK(world.counters().fallbacks.empty());
        BOOST_CHECK(world.engine().incidents().empty());
        check_idle(world);
      }
}

// Its events stay with the engine for its next call; they are not its successor's, who is told of states.
BOOST_AUTO_TEST_CASE(what_a_failed_call_left_unheard_is_not_told_again) {
  for (const std::uint32_t lag : {0u, 1u})
    for (std::int64_t at = 2; at < 30; at += 3) {
      World world(crowded(lag), mixed_asks(60, 7, 60));
      world.swap(Kind::scheduler, strict(at));
      for (std::int64_t step = 0; step < at; ++step) world.one_step();
      world.swap(Kind::scheduler, strict());
      world.run();
      std::uint64_t failed = 0;
      for (const auto& [which, count] : world.counters().fallbacks) failed += count;
      BOOST_CHECK_EQUAL(failed, 1u);  // the one that was made to
    }
}

// Many more waiting than one slice tells of; arrivals, ends and admissions go on in the meantime.
BOOST_AUTO_TEST_CASE(slices_and_live_events_make_one_picture) {
  constexpr std::uint32_t kWaiting = 900;
  for (const std::uint32_t lag : {0u, 1u}) {
    std::vector<Ask> asks(kWaiting);
    for (std::uint32_t i = 0; i < kWaiting; ++i) {
      asks[i].spec.pieces = {{i % 50, 3 + i % 20}};
      asks[i].spec.max_tokens = 2 + i % 3;
      asks[i].spec.sampling.seed = i % 50;
      asks[i].at_step = i < 700 ? 0 : i - 700;
    }
    Setting s;
    s.scheduler = "strict";
    s.lag = lag;
    s.max_sequences = 32;
    World world(s, asks);
    for (int i = 0; i < 3; ++i) {
      world.one_step();
      world.swap(Kind::scheduler, strict());  // the second and third wait for their turn
    }
    for (std::uint64_t i = 0; world.counters().swaps < 3; ++i) {
      BOOST_REQUIRE_LT(i, 60u);
      world.tell(engine::Message::What::cancel, world.id_of(690 - i));
      world.one_step();
    }
    world.run();
    BOOST_CHECK(world.counters().fallbacks.empty());
    BOOST_CHECK_EQUAL(world.ends().size(), kWaiting);
    check_idle(world);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
