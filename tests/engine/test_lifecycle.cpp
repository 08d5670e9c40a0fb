// From arrival to the end: cancellation, pause and resume at every stage, deadlines, labels, limits of
// intake.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <functional>

#include "world.hpp"

namespace serveloop::test {

namespace {

using What = engine::Message::What;

Ask ask(std::uint64_t seed, std::uint32_t prompt, std::uint32_t tokens, std::uint64_t at_step = 0) {
  Ask a;
  a.at_step = at_step;
  a.spec.pieces = {{seed, prompt}};
  a.spec.max_tokens = tokens;
  a.spec.sampling.seed = seed;
  return a;
}

// Ask 0 is the one to watch; the others keep the engine busy and short of blocks.
constexpr std::uint32_t kTight = 22;  // blocks
std::vector<Ask> crowd() {
  std::vector<Ask> asks = {ask(1, 42, 40, 1)};
  for (std::uint64_t i = 0; i < 8; ++i)
    asks.push_back(ask(10 + i, static_cast<std::uint32_t>(30 + i), 50, i < 3 ? 0 : 2 + i));
  return asks;
}
std::vector<Ask> by_step(std::vector<Ask> asks) {  // as the world feeds them
  std::stable_sort(asks.begin(), asks.end(),
                   [](const Ask& a, const Ask& b) { return a.at_step < b.at_step; });
  return asks;
}
const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = by_step(crowd());
  return all;
}
const Outputs& reference() {
  static const Outputs all = alone(asks());
  return all;
}
std::size_t watched() {
  for (std::size_t i = 0; i < asks().size(); ++i)
    if (asks()[i].spec.sampling.seed == 1) return i;
  return 0;
}

Setting tight(std::uint32_t lag, const char* scheduler = "fcfs") {
  Setting s;
  s.scheduler = scheduler;
  s.blocks = kTight;
  s.token_budget = 24;
  s.max_sequences = 5;
  s.lag = lag;
  return s;
}

struct Stage {
  const char* name;
  bool (*reached)(const sl_seq_row& row);
  bool only_lagging = false;
};
const Stage kStages[] = {
    {"waiting", [](const sl_seq_row& r) { return r.state == SL_WAITING && r.preemptions == 0; }},
    {"mid-prefill",
     [](const sl_seq_row& r) {
       return r.state == SL_RUNNING && r.runnable > 1 && r.computed + r.in_flight_max > 0 && r.generated == 0;
     }},
    {"decoding", [](const sl_seq_row& r) { return r.state == SL_RUNNING && r.generated >= 3; }},
    {"preempted", [](const sl_seq_row& r) { return r.state == SL_WAITING && r.preemptions > 0; }},
    {"preempted after tokens",
     [](const sl_seq_row& r) { return r.state == SL_WAITING && r.preemptions > 0 && r.generated > 0; }},
    {"running again", [](const sl_seq_row& r) { return r.state == SL_RUNNING && r.preemptions > 0; }},
    {"in flight", [](const sl_seq_row& r) { return r.in_flight_max > 0 && r.generated > 0; }, true},
};

// Steps until ask 0 is at that stage. Returns its request id.
std::uint64_t reach(World& world, const Stage& stage) {
  for (int i = 0; i < 2000; ++i) {
    BOOST_REQUIRE(world.one_step());
    const std::uint64_t id = world.id_of(watched());
    if (id != 0 && world.end_of(id) == nullptr && stage.reached(world.row_of(id))) return id;
  }
  BOOST_FAIL("stage " << stage.name << " was never reached");
  return 0;
}

void at_every_stage(const std::function<void(World&, std::uint64_t)>& act) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const char* scheduler : {"fcfs", "sarathi", "priority", "mlfq", "vtc", "lpm", "dlpm", ""})
      for (const Stage& stage : kStages) {
        if (stage.only_lagging && lag == 0) continue;
        BOOST_TEST_CONTEXT(stage.name << ", lag " << lag << ", " << scheduler) {
          World world(tight(lag, scheduler), asks());
          act(world, reach(world, stage));
          world.run();
          check_ends(world, reference());
          check_idle(world);
          BOOST_CHECK(world.counters().fallbacks.empty());
        }
      }
}

std::uint32_t finish_of(const World& world, std::uint64_t request) {
  const engine::Finished* end = world.end_of(request);
  BOOST_REQUIRE(end != nullptr);
  return end->finish;
}

void steps(World& world, int count) {
  for (int i = 0; i < count; ++i) world.one_step();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lifecycle)

BOOST_AUTO_TEST_CASE(cancelled_at_every_stage) {
  at_every_stage([](World& world, std::uint64_t request) {
    const std::uint64_t now = world.clock().now_ns();
    world.tell(What::cancel, request);
    world.one_step();
    BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_CANCELLED});
    BOOST_CHECK_EQUAL(world.end_of(request)->reason, std::uint32_t{SL_REASON_CANCELLED});
    BOOST_CHECK_EQUAL(world.end_of(request)->end_ns, now);  // at once
  });
}

BOOST_AUTO_TEST_CASE(cancelled_before_a_step_saw_it) {
  World world(tight(0), asks());
  Ask more = ask(77, 40, 10);
  const std::uint64_t request = world.send(more);
  world.tell(What::cancel, request);
  world.tell(What::cancel, request);  // twice is no error
  world.tell(What::cancel, 123456);   // nor is one that never was
  world.run();
  BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_CANCELLED});
  BOOST_CHECK(world.output_of(request).empty());
  check_idle(world);
}

// What was in flight for it is void: no token, no usage.
BOOST_AUTO_TEST_CASE(cancelled_in_flight_the_token_is_void) {
  World world(tight(1), asks());
  const std::uint64_t request = reach(world, kStages[6]);
  const std::uint32_t generated = world.row_of(request).generated;
  world.tell(What::cancel, request);
  world.run();
  BOOST_CHECK_GE(world.counters().void_tokens, 1u);
  BOOST_CHECK_EQUAL(world.end_of(request)->output_tokens, generated);
}

BOOST_AUTO_TEST_CASE(paused_and_resumed_at_every_stage) {
  for (const int between : {1, 7}) {
    at_every_stage([between](World& world, std::uint64_t request) {
      const std::uint32_t generated =
          world.row_of(request).generated + (world.row_of(request).in_flight_max > 0 ? 1 : 0);
      world.tell(What::pause, request, SL_NEVER);
      steps(world, between);
      BOOST_CHECK_EQUAL(world.row_of(request).state, SL_PAUSED);
      BOOST_CHECK_LE(world.row_of(request).generated, generated);  // only what was in flight came
      world.tell(What::resume, request);
      world.run();
      BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
    });
  }
}

BOOST_AUTO_TEST_CASE(paused_and_resumed_within_a_step) {
  at_every_stage([](World& world, std::uint64_t request) {
    for (int i = 0; i < 3; ++i) {
      world.tell(What::pause, request, SL_NEVER);
      world.tell(What::resume, request);
    }
    world.run();
    BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
  });
}

BOOST_AUTO_TEST_CASE(paused_and_cancelled) {
  for (const int between : {0, 1, 5})
    at_every_stage([between](World& world, std::uint64_t request) {
      world.tell(What::pause, request, SL_NEVER);
      steps(world, between);
      world.tell(What::cancel, request);
      world.run();
      BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_CANCELLED});
    });
}

// A pause that comes with the arrival itself, before any gate or scheduler was asked.
BOOST_AUTO_TEST_CASE(paused_before_a_step_saw_it) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const std::vector<Ask> one = {ask(5, 40, 10)};
    World world(tight(lag), {});
    const std::uint64_t request = world.send(one.front());
    world.tell(What::pause, request, SL_NEVER);
    steps(world, 5);
    BOOST_CHECK_EQUAL(world.row_of(request).state, SL_PAUSED);
    BOOST_CHECK_EQUAL(world.row_of(request).computed, 0u);
    world.tell(What::resume, request);
    steps(world, 100);
    BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
    BOOST_CHECK(world.output_of(request) == alone(one).at({0, 0}));
  }
}

BOOST_AUTO_TEST_CASE(preempted_while_paused) {
  for (const std::uint32_t lag : {0u, 1u}) {
    const std::vector<Ask> one = {ask(5, 60, 20)};
    Setting s = tight(lag);
    s.blocks = 16;
    World world(s, {});
    const std::uint64_t request = world.send(one.front());
    do BOOST_REQUIRE(world.one_step());
    while (world.row_of(request).generated < 4);
    world.tell(What::pause, request, SL_NEVER);
    world.one_step();
    BOOST_CHECK_GT(world.row_of(request).blocks_device, 0u);  // paused, it keeps them
    const std::uint64_t large = world.send(ask(6, 100, 20));
    while (world.end_of(large) == nullptr) BOOST_REQUIRE(world.one_step());
    BOOST_CHECK_EQUAL(world.row_of(request).state, SL_PAUSED);
    BOOST_CHECK_EQUAL(world.row_of(request).blocks_device, 0u);
    BOOST_CHECK_EQUAL(world.row_of(request).preemptions, 1u);
    world.tell(What::resume, request);
    world.run();
    BOOST_CHECK(world.output_of(request) == alone(one).at({0, 0}));
    BOOST_CHECK_GT(world.end_of(request)->recomputed_tokens, 0u);
    check_idle(world);
  }
}

BOOST_AUTO_TEST_CASE(a_pause_is_its_own_cause) {
  const std::vector<Ask> one = {ask(5, 60, 20)};
  World world(tight(0), {});
  const std::uint64_t request = world.send(one.front());
  steps(world, 8);
  world.tell(What::pause, request, 12345);
  world.one_step();
  const requests::Slot slot = world.slots_of(request).front();
  BOOST_CHECK_EQUAL(
      static_cast<const sl_seq_cold_row*>(world.engine().requests().cold_table().base)[slot].pause_until_ns,
      12345u);
  world.clock().wait_until(world.clock().now_ns() + 80000000);
  world.tell(What::resume, request);
  world.run();
  const std::int64_t paused = world.end_of(request)->causes[static_cast<std::size_t>(observe::Cause::paused)];
  BOOST_CHECK_GE(paused, 80000000);
  BOOST_CHECK_LT(paused, 82000000);
}

BOOST_AUTO_TEST_CASE(n_sequences_of_one_request) {
  for (const std::uint32_t lag : {0u, 1u}) {
    std::vector<Ask> some = {ask(5, 41, 12), ask(6, 30, 9)};
    some[0].spec.n = 4;
    const Outputs right = alone(some);
    some[0].spec.sampling.stop_ids = {right.at({0, 1})[2]};  // one fork, at least, ends sooner
    const Outputs stopped = alone(some);
    World world(tight(lag), some);
    world.run();
    check_ends(world, stopped);
    check_idle(world);
    BOOST_CHECK(stopped.at({0, 0}) != stopped.at({0, 2}));
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(0), 1)->finish, std::uint32_t{SL_FINISH_STOP});
    std::uint32_t hits = 0;
    for (std::uint32_t fork = 0; fork < 4; ++fork) hits += world.end_of(world.id_of(0), fork)->hit_tokens;
    BOOST_CHECK_GE(hits, 3u * 40u);  // they share the prompt's whole blocks
  }
}

BOOST_AUTO_TEST_CASE(a_cancel_ends_all_sequences_of_a_request) {
  std::vector<Ask> some = {ask(5, 41, 12)};
  some[0].spec.n = 7;  // more than may run at once
  World world(tight(1), {});
  const std::uint64_t request = world.send(some.front());
  steps(world, 6);
  world.tell(What::cancel, request);
  world.run();
  BOOST_CHECK_EQUAL(world.ends().size(), 7u);
  for (std::uint32_t fork = 0; fork < 7; ++fork)
    BOOST_CHECK_EQUAL(world.end_of(request, fork)->finish, std::uint32_t{SL_FINISH_CANCELLED});
  check_idle(world);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
