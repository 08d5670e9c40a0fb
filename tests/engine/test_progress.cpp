// Nobody is forgotten: what waits for something that happens goes on when it does, whatever else there is to do.
#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

using What = engine::Message::What;

Ask ask(std::uint64_t seed, std::uint32_t prompt, std::uint32_t tokens, std::uint64_t at_step = 0) {
  Ask a;
  a.spec.pieces = {{seed, prompt}};
  a.spec.max_tokens = tokens;
  a.spec.sampling.seed = seed;
  a.at_step = at_step;
  return a;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(progress)

// The gate is asked once more when the last one that ran has ended, though nothing is ready then.
BOOST_AUTO_TEST_CASE(a_gate_may_hold_until_nothing_runs) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Setting s;
    s.lag = lag;
    s.gates = {{"hold", toml::Table{{"mode", "one-at-a-time"}}}};
    const std::vector<Ask> asks = {ask(1, 20, 10), ask(2, 20, 10, 3), ask(3, 20, 10, 4)};
    World world(s, asks);
    world.run();
    BOOST_CHECK_EQUAL(world.ends().size(), asks.size());
    BOOST_CHECK(world.counters().fallbacks.empty());
    for (std::size_t i = 1; i < asks.size(); ++i)
      BOOST_CHECK_GE(world.end_of(world.id_of(i))->admitted_ns, world.end_of(world.id_of(i - 1))->end_ns);
    check_idle(world);
  }
}

// A client's hint is heard though nothing runs and nothing is ready, and asking ends when nothing new happens.
BOOST_AUTO_TEST_CASE(parked_ones_do_not_keep_the_loop_busy) {
  Setting s;
  s.gates = {{"picky", toml::Table{{"verb", "park"}, {"every", 1}, {"good_calls", 1000000}, {"wake_us", 0}}}};
  World world(s, {ask(1, 20, 10)});
  for (int i = 0; i < 10; ++i) world.one_step();
  const std::uint64_t steps = world.counters().steps;
  for (int i = 0; i < 10; ++i) world.one_step();
  BOOST_CHECK_EQUAL(world.counters().steps, steps);
  world.tell(What::hint, world.id_of(0), 1, 2);
  for (int i = 0; i < 10; ++i) world.one_step();
  BOOST_CHECK_EQUAL(world.counters().steps, steps + 1);
}

BOOST_AUTO_TEST_CASE(timers_of_what_has_ended_wake_nobody) {
  World world(Setting{}, {});
  Ask late = ask(1, 20, 5);
  late.spec.end_deadline_ns = std::uint64_t{3600} * 1000000000;
  const std::uint64_t request = world.send(late);
  world.one_step();
  BOOST_CHECK_EQUAL(world.engine().next_wake_ns(),
                    world.end_of(request) == nullptr ? late.spec.end_deadline_ns : 0);
  world.run();
  BOOST_CHECK_EQUAL(world.end_of(request)->finish, std::uint32_t{SL_FINISH_LENGTH});
  BOOST_CHECK_EQUAL(world.engine().next_wake_ns(), SL_NEVER);
  BOOST_CHECK_LT(world.clock().now_ns(), 1000000000u);
}

BOOST_AUTO_TEST_CASE(a_deadline_beyond_all_time_is_none) {
  World world(Setting{}, {});
  Ask late = ask(1, 20, 5);
  late.spec.end_deadline_ns = UINT64_MAX - 5;
  world.clock().wait_until(1000000);
  const std::uint64_t request = world.send(late);
  world.run();
  BOOST_CHECK_EQUAL(world.end_of(request)->finish, std::uint32_t{SL_FINISH_LENGTH});
}

// Two that pause hold the same blocks, so neither frees any alone: the plan's first entry gets them all the same.
BOOST_AUTO_TEST_CASE(the_first_entry_fits_though_nobody_frees_a_block_alone) {
  Setting s;
  s.blocks = 16;
  s.bypass_steps = 8;
  s.max_sequences = 2;
  World world(s, {ask(1, 80, 13)});
  world.run();  // its blocks stay cached
  const std::uint64_t twins[] = {world.send(ask(1, 80, 13)), world.send(ask(1, 80, 13))};
  const auto computed = [&](std::uint64_t request) { return world.row_of(request).computed; };
  for (int i = 0; i < 12; ++i) {
    BOOST_REQUIRE(world.one_step());
    if (computed(twins[0]) == 88 && computed(twins[1]) == 88) break;
  }
  for (const std::uint64_t twin : twins) world.tell(What::pause, twin, SL_NEVER);
  world.one_step();
  for (const std::uint64_t twin : twins)
    BOOST_REQUIRE_EQUAL(world.engine().cache().frees(world.slots_of(twin).front(), 0), 0u);
  const std::uint64_t large = world.send(ask(9, 124, 5));
  for (int i = 0; i < 40; ++i) world.one_step();
  BOOST_REQUIRE(world.end_of(large) != nullptr);
  BOOST_CHECK_EQUAL(world.counters().ejected, 0u);
  BOOST_CHECK(world.counters().fallbacks.empty());
  for (const std::uint64_t twin : twins) world.tell(What::resume, twin);
  world.run();
  BOOST_CHECK(world.output_of(twins[0]) == world.output_of(world.id_of(0)));
  BOOST_CHECK(world.output_of(twins[1]) == world.output_of(world.id_of(0)));
  check_idle(world);
}

// Who yields for memory waits for memory from that step on, and its account names for whom.
BOOST_AUTO_TEST_CASE(a_victim_waits_for_memory_and_knows_for_whom_it_yielded) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Setting s;
    s.lag = lag;
    s.blocks = 12;
    s.prefix_cache = false;
    World world(s, {ask(1, 40, 20), ask(2, 40, 40)});
    world.run();
    const engine::Finished& first = *world.end_of(world.id_of(0));
    const engine::Finished& victim = *world.end_of(world.id_of(1));
    if (lag == 0)
      BOOST_REQUIRE_EQUAL(first.preemptions, 0u);  // else its last token is in flight, and not in the plan
    BOOST_REQUIRE_GE(victim.preemptions, 1u);
    BOOST_CHECK_GT(victim.causes[static_cast<std::size_t>(observe::Cause::memory)], 0);
    if (lag == 0) BOOST_CHECK_EQUAL(victim.causes[static_cast<std::size_t>(observe::Cause::policy)], 0);
    BOOST_CHECK_EQUAL(victim.preempted_for, world.id_of(0));
    BOOST_CHECK_EQUAL(victim.preempted_by, static_cast<std::uint32_t>(engine::YieldBy::policy));
    BOOST_CHECK_GT(victim.recomputed_tokens, 0u);
    BOOST_CHECK_EQUAL(victim.evicted_tokens, 0u);
    if (lag == 0) BOOST_CHECK_EQUAL(first.preempted_for, 0u);
  }
}

// Computed again because the cache let go of it while the request waited: nobody preempted it.
BOOST_AUTO_TEST_CASE(what_an_eviction_took_is_told_apart) {
  Setting s;
  s.blocks = 12;
  s.max_sequences = 1;
  World world(s, {ask(1, 64, 2)});
  world.run();
  world.send(ask(2, 80, 12));  // takes the cached blocks
  world.one_step();
  const std::uint64_t again = world.send(ask(1, 64, 2));
  world.run();
  (void)again;
  const engine::Finished& end = *world.end_of(again);
  BOOST_CHECK_EQUAL(end.preemptions, 0u);
  BOOST_CHECK_EQUAL(end.recomputed_tokens, end.evicted_tokens);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
