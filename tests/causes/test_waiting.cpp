// Waiters that nobody names: what they wait for is what the step exhausted; held ones wait for the policy.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

namespace serveloop::test {
namespace {

using observe::Cause;

std::int64_t of(const engine::Finished& end, Cause cause) {
  return end.causes[static_cast<std::size_t>(cause)];
}

// It waited for this alone, but for the wait behind the step under way. At lag 1 the slot before its own
// outlives admission.
void check_waited_for(const Stage& stage, std::uint64_t request, Cause cause) {
  const engine::Finished& end = stage.end_of(request);
  const auto waited = static_cast<std::int64_t>(end.admitted_ns - end.arrival_ns);
  BOOST_CHECK_GT(of(end, cause), 0);
  BOOST_CHECK_GE(of(end, cause) + of(end, Cause::boundary), waited);
  if (stage.rig().options.lag == 0) BOOST_CHECK_EQUAL(of(end, cause) + of(end, Cause::boundary), waited);
  for (const Cause other : {Cause::paused, Cause::reader, Cause::transfer, Cause::memory, Cause::tokens,
                            Cause::slots, Cause::policy})
    if (other != cause)
      BOOST_CHECK_MESSAGE(of(end, other) == 0, observe::name_of(other) << ": " << of(end, other));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(waiting)

BOOST_AUTO_TEST_CASE(for_tokens) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    scene.token_budget = 8;
    Stage stage(scene);
    stage.at(0, [&] {
      stage.request(ask(1, 200, 2));
      stage.request(ask(2, 16, 2));
    });
    stage.run();
    check_waited_for(stage, 2, Cause::tokens);
  }
}

BOOST_AUTO_TEST_CASE(for_a_slot) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    scene.max_sequences = 2;
    Stage stage(scene);
    stage.at(0, [&] {
      for (std::uint64_t i = 1; i <= 3; ++i) stage.request(ask(i, 16, 20));
    });
    stage.run();
    check_waited_for(stage, 3, Cause::slots);
  }
}

BOOST_AUTO_TEST_CASE(for_memory) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    scene.blocks = 20;
    scene.prefix_cache = false;
    Stage stage(scene);
    stage.at(0, [&] { stage.request(ask(1, 100, 30)); });  // 17 blocks of 20
    stage.at(2, [&] {
      stage.request(ask(2, 100, 2));  // named, and falls
      stage.request(ask(3, 100, 2));
    });
    stage.run();
    check_waited_for(stage, 2, Cause::memory);
    check_waited_for(stage, 3, Cause::memory);
  }
}

// Running sequences that wait beside one that fills the budget.
BOOST_AUTO_TEST_CASE(for_tokens_while_running) {
  Scene scene;
  scene.token_budget = 8;
  Stage stage(scene);
  stage.at(0, [&] { stage.request(ask(1, 100, 4)); });
  stage.at(1, [&] { stage.request(ask(2, 100, 4)); });
  stage.run();
  check_waited_for(stage, 2, Cause::tokens);
}

BOOST_AUTO_TEST_CASE(held_by_a_gate) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    scene.gates = {"hold"};
    scene.gate_options["hold_us"] = 30'000;
    Stage stage(scene);
    stage.at(0, [&] { stage.request(ask(1, 16, 20)); });
    stage.at(3, [&] { stage.request(ask(2, 16, 20)); });
    stage.run();
    for (const std::uint64_t id : {1u, 2u}) {
      check_waited_for(stage, id, Cause::policy);
      BOOST_CHECK_GE(of(stage.end_of(id), Cause::policy), 30'000'000 - of(stage.end_of(id), Cause::boundary));
    }
  }
}

BOOST_AUTO_TEST_CASE(paused) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    Stage stage(scene);
    std::uint64_t from = 0, to = 0;
    stage.at(0, [&] { stage.request(ask(1, 16, 30)); });
    stage.at(5, [&] {
      stage.tell(engine::Message::What::pause, 1, SL_NEVER);
      from = stage.clock().now_ns();
    });
    stage.at(8, [&] {
      stage.wait(70'000'000);
      stage.tell(engine::Message::What::resume, 1);
      to = stage.clock().now_ns();
    });
    stage.run();
    // At lag 1 the token in flight when the pause came is still its own time.
    const std::int64_t paused = of(stage.end_of(1), Cause::paused);
    BOOST_CHECK_LE(paused, static_cast<std::int64_t>(to - from));
    BOOST_CHECK_GE(paused, 70'000'000);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
