// Gates: what they park is not ready, what they reject ends, and nothing else is theirs to say.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint64_t kMs = 1000000;
constexpr auto kPolicy = static_cast<std::size_t>(observe::Cause::policy);

policy::Choice hold(std::int64_t us, const char* mode = "park") {
  return {"hold", toml::Table{{"hold_us", us}, {"mode", mode}}};
}
policy::Choice picky(const char* verb, std::int64_t every, std::int64_t good_calls = 1000000,
                     std::int64_t wake_us = 0) {
  return {"picky",
          toml::Table{{"verb", verb}, {"every", every}, {"good_calls", good_calls}, {"wake_us", wake_us}}};
}

// Requests of 20 + i prompt tokens, one every second step.
std::vector<Ask> plain_asks(std::uint32_t count, std::uint64_t apart = 2) {
  std::vector<Ask> asks(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    asks[i].at_step = i * apart;
    asks[i].spec.pieces = {{100 + i, 20 + i}};
    asks[i].spec.max_tokens = 6;
    asks[i].spec.sampling.seed = i;
  }
  return asks;
}

Setting gated(std::vector<policy::Choice> gates, std::uint32_t lag = 0) {
  Setting s;
  s.gates = std::move(gates);
  s.lag = lag;
  return s;
}

void check_sums(const World& world) {
  for (const engine::Finished& end : world.ends())
    BOOST_CHECK_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
}

// All were admitted in the order of their arrival.
void check_order(const World& world, std::size_t count) {
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const engine::Finished* end = world.end_of(world.id_of(i));
    BOOST_REQUIRE(end != nullptr);
    BOOST_CHECK_GE(end->admitted_ns, before);
    before = end->admitted_ns;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gates)

BOOST_AUTO_TEST_CASE(what_a_gate_parks_is_not_ready_until_it_wakes) {
  World world(gated({hold(50000)}), plain_asks(1));
  BOOST_REQUIRE(world.one_step());
  const std::uint64_t request = world.id_of(0);
  const std::uint64_t arrival = world.clock().now_ns();
  for (int i = 0; world.clock().now_ns() < arrival + 50 * kMs; ++i) {
    BOOST_REQUIRE_LT(i, 10);
    BOOST_CHECK_EQUAL(world.row_of(request).not_ready, SL_NOT_READY_GATE);
    BOOST_CHECK_EQUAL(world.engine().requests().ready_count(), 0u);
    BOOST_CHECK_EQUAL(world.engine().requests().running_count(), 0u);
    BOOST_CHECK_EQUAL(world.engine().next_wake_ns(), arrival + 50 * kMs);
    BOOST_REQUIRE(world.one_step());
  }
  world.run();
  const engine::Finished* end = world.end_of(request);
  BOOST_CHECK_EQUAL(end->admitted_ns, end->arrival_ns + 50 * kMs);
  BOOST_CHECK_EQUAL(end->finish, std::uint32_t{SL_FINISH_LENGTH});
  BOOST_CHECK_EQUAL(end->causes[kPolicy], static_cast<std::int64_t>(50 * kMs));
  check_sums(world);
  check_idle(world);
}

BOOST_AUTO_TEST_CASE(parked_requests_keep_their_order_and_their_tokens) {
  const std::vector<Ask> asks = plain_asks(40);
  const Outputs reference = alone(asks);
  for (const std::uint32_t lag : {0u, 1u})
    for (const char* scheduler : {"fcfs", "sarathi", "orca", "prefill-first", "memory-aware", ""}) {
      Setting s = gated({hold(20000)}, lag);
      s.scheduler = scheduler;
      World world(s, asks);
      world.run();
      check_ends(world, reference);
      check_idle(world);
      check_order(world, asks.size());
      check_sums(world);
      for (const engine::Finished& end : world.ends()) {
        BOOST_CHECK_GE(end.admitted_ns, end.arrival_ns + 20 * kMs);
        BOOST_CHECK_GE(end.causes[kPolicy],
                       static_cast<std::int64_t>(15 * kMs));  // less what else it waited for
      }
      BOOST_CHECK(world.counters().fallbacks.empty());
    }
}

// Also of what happened after its call in a step: before the scheduler's, other gates were asked.
BOOST_AUTO_TEST_CASE(each_gate_is_told_everything_once) {
  const std::vector<Ask> asks = plain_asks(60);
  const policy::Choice strict = hold(0, "strict");
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::vector<policy::Choice>& gates :
         {std::vector{strict, strict}, {strict, hold(20000), strict}}) {
      World world(gated(gates, lag), asks);
      world.run();
      BOOST_CHECK_EQUAL(world.ends().size(), asks.size());
      BOOST_CHECK(world.counters().fallbacks.empty());
      check_idle(world);
    }
}

BOOST_AUTO_TEST_CASE(a_gate_that_answers_run_is_refused) {
  const std::vector<Ask> asks = plain_asks(30);
  const Outputs reference = alone(asks);
  World world(gated({hold(50000, "run")}), asks);
  world.run();
  check_ends(world, reference);
  check_idle(world);
  const std::pair<std::uint8_t, std::uint16_t> what(static_cast<std::uint8_t>(policy::Kind::scheduler),
                                                    SL_REASON_NOT_A_GATES_VERB);
  BOOST_REQUIRE_EQUAL(world.counters().fallbacks.size(), 1u);
  BOOST_CHECK_EQUAL(world.counters().fallbacks.at(what), asks.size());  // it is right wherever nobody arrives
  for (const engine::Finished& end : world.ends()) BOOST_CHECK_LT(end.admitted_ns, end.arrival_ns + 50 * kMs);
}

BOOST_AUTO_TEST_CASE(a_gate_that_fails_in_a_row_is_ejected_and_the_scheduler_goes_on) {
  const std::vector<Ask> asks = plain_asks(30, 1);
  const Outputs reference = alone(asks);
  World world(gated({hold(50000, "run")}), asks);
  world.run();
  check_ends(world, reference);
  BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
  BOOST_CHECK(world.engine().policies().gates.front() == nullptr);
  BOOST_REQUIRE_EQUAL(world.engine().incidents().size(), 1u);
  const std::string& report = world.engine().incidents().front();
  for (const char* part : {"scheduler 'hold' ejected", "(gate)", "not_a_gates_verb"})
    BOOST_CHECK_MESSAGE(report.find(part) != std::string::npos, part << " is not in: " << report);
}

BOOST_AUTO_TEST_CASE(what_an_ejected_gate_had_parked_is_let_go) {
  const std::vector<Ask> asks = plain_asks(20, 1);
  const Outputs reference = alone(asks);
  World world(gated({picky("park", 2, 15)}), asks);
  world.run();
  check_ends(world, reference);
  check_idle(world);
  BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
  for (const engine::Finished& end : world.ends())
    BOOST_CHECK_EQUAL(end.finish, std::uint32_t{SL_FINISH_LENGTH});
}

BOOST_AUTO_TEST_CASE(an_ejected_gate_lets_go_of_nothing_that_another_holds) {
  const std::vector<Ask> asks = plain_asks(40, 1);
  const Outputs reference = alone(asks);
  World world(gated({picky("park", 1, 15), hold(400000)}), asks);
  world.run();
  check_ends(world, reference);
  check_idle(world);
  BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
  for (const engine::Finished& end : world.ends())
    BOOST_CHECK_GE(end.admitted_ns, end.arrival_ns + 400 * kMs);
}

BOOST_AUTO_TEST_CASE(what_an_ejected_scheduler_had_parked_is_let_go) {
  const std::vector<Ask> asks = plain_asks(20, 1);
  const Outputs reference = alone(asks);
  for (const std::uint32_t lag : {0u, 1u}) {
    Setting s;
    s.scheduler = "picky-scheduler";
    s.scheduler_options = picky("park", 1, 25).options;
    s.lag = lag;
    World world(s, asks);
    for (int i = 0; i < 25; ++i) world.one_step();
    BOOST_CHECK_EQUAL(world.engine().requests().ready_count(), 0u);
    BOOST_CHECK_EQUAL(world.row_of(world.id_of(3)).not_ready, SL_NOT_READY_PARKED);
    world.tell(engine::Message::What::hint, 1);  // nobody wakes up by itself: the next arrival asks it again
    Ask more = asks.front();
    more.spec.sampling.seed = 99;
    for (int i = 0; i < 10; ++i) {
      world.send(more);
      world.one_step();
    }
    world.run();
    BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
    BOOST_CHECK_EQUAL(world.ends().size(), asks.size() + 10);
    check_idle(world);
    for (const auto& [which, tokens] : reference) BOOST_CHECK(world.outputs().at(which) == tokens);
  }
}

BOOST_AUTO_TEST_CASE(a_rejected_request_ends_with_the_gates_reason) {
  const std::vector<Ask> asks = plain_asks(30);
  const Outputs reference = alone(asks);
  World world(gated({picky("reject", 3)}), asks);
  world.run();
  check_ends(world, reference);
  check_idle(world);
  check_sums(world);
  std::uint32_t rejected = 0;
  for (const engine::Finished& end : world.ends()) {
    if (end.finish == SL_FINISH_LENGTH) continue;
    ++rejected;
    BOOST_CHECK_EQUAL(end.finish, std::uint32_t{SL_FINISH_REJECTED});
    BOOST_CHECK_EQUAL(end.reason, std::uint32_t{SL_REASON_PLUGIN});
    BOOST_CHECK_EQUAL(end.output_tokens, 0u);
  }
  BOOST_CHECK_EQUAL(rejected, asks.size() / 3);
  BOOST_CHECK(world.counters().fallbacks.empty());
}

// The later wake time counts, whichever gate said it first.
BOOST_AUTO_TEST_CASE(two_gates_combine) {
  const std::vector<Ask> asks = plain_asks(6, 40);
  const Outputs reference = alone(asks);
  for (const bool longest_first : {true, false}) {
    World world(
        gated({hold(longest_first ? 50000 : 10000), hold(longest_first ? 10000 : 50000), picky("reject", 2)}),
        asks);
    world.run();
    check_ends(world, reference);
    check_idle(world);
    for (std::size_t i = 0; i < asks.size(); ++i) {
      const engine::Finished* end = world.end_of(world.id_of(i));
      BOOST_CHECK_EQUAL(end->finish, i % 2 == 1 ? SL_FINISH_REJECTED : SL_FINISH_LENGTH);
      if (i % 2 == 0) BOOST_CHECK_GE(end->admitted_ns, end->arrival_ns + 50 * kMs);
    }
    BOOST_CHECK(world.counters().fallbacks.empty());
  }
}

// One token a millisecond, 60 at once: 26 of the first are paid for, and the rest comes token by token.
BOOST_AUTO_TEST_CASE(a_token_bucket_lets_go_at_the_time_that_it_told) {
  const std::vector<Ask> asks = plain_asks(4, 0);  // 26, 27, 28, 29 tokens with their output
  const Outputs reference = alone(asks);
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(gated({{"token-bucket", toml::Table{{"rate", 1000}, {"burst", 60}}}}, lag), asks);
    world.run();
    check_ends(world, reference);
    check_idle(world);
    check_sums(world);
    BOOST_CHECK(world.counters().fallbacks.empty());
    const std::uint64_t arrival = world.end_of(world.id_of(0))->arrival_ns;
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(2))->admitted_ns, arrival + 21 * kMs);
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(3))->admitted_ns, arrival + 50 * kMs);
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(3))->causes[kPolicy], static_cast<std::int64_t>(50 * kMs));
  }
}

// Cancelled ones leave their place to those behind, also while nothing runs; what is too large ends with the gate's reason.
BOOST_AUTO_TEST_CASE(a_token_bucket_under_cancellations) {
  std::vector<Ask> asks = plain_asks(6, 0);
  asks[5].spec.max_tokens = 200;
  World world(gated({{"token-bucket", toml::Table{{"rate", 1000}, {"burst", 60}}}}), asks);
  BOOST_REQUIRE(world.one_step());
  world.tell(engine::Message::What::cancel, world.id_of(2));
  world.tell(engine::Message::What::cancel, world.id_of(3));
  world.run();
  BOOST_CHECK(world.counters().fallbacks.empty());
  BOOST_CHECK_EQUAL(world.end_of(world.id_of(4))->admitted_ns,
                    world.end_of(world.id_of(4))->arrival_ns + 23 * kMs);
  const engine::Finished* large = world.end_of(world.id_of(5));
  BOOST_CHECK_EQUAL(large->finish, std::uint32_t{SL_FINISH_REJECTED});
  BOOST_CHECK_EQUAL(large->reason, SL_REASON_PLUGIN + 1);
  check_idle(world);
}

BOOST_AUTO_TEST_CASE(a_parked_request_is_released_by_message) {
  const std::vector<Ask> asks = plain_asks(3, 1);
  const Outputs reference = alone(asks);
  World world(gated({picky("park", 1)}), asks);
  world.run();
  BOOST_CHECK(world.ends().empty());  // parked until released: nothing to do
  for (std::size_t i = 0; i < asks.size(); ++i)
    BOOST_CHECK_EQUAL(world.row_of(world.id_of(i)).not_ready, SL_NOT_READY_GATE);
  world.tell(engine::Message::What::release, world.id_of(1));
  world.run();
  BOOST_CHECK_EQUAL(world.ends().size(), 1u);
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}})
    world.tell(engine::Message::What::release, world.id_of(i));
  world.run();
  check_ends(world, reference);
  check_idle(world);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
