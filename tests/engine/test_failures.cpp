// A step that the executor failed: its sequences, and those of steps in flight behind it, compute again; no
// token is lost.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 60, kLongestPrompt = 80;

struct Traffic {
  std::vector<Ask> asks = mixed_asks(kRequests, 23, kLongestPrompt);
  Outputs reference = alone(asks);
};
const Traffic& traffic() {
  static const Traffic all;
  return all;
}

Setting setting(std::uint32_t lag, std::uint32_t blocks, bool prefix_cache = true) {
  Setting s;
  s.lag = lag;
  s.blocks = blocks;
  s.prefix_cache = prefix_cache;
  s.token_budget = 40;
  return s;
}

// To the end, whatever was parked for ever let go.
void run(World& world) {
  world.run();
  for (int i = 0; i < 50 && world.engine().busy(); ++i) {
    for (std::size_t ask = 0; ask < kRequests; ++ask)
      world.tell(engine::Message::What::release, world.id_of(ask));
    world.run();
  }
}

void check(World& world, std::uint64_t failed_at_least) {
  run(world);
  check_law_1(world, traffic().asks, traffic().reference);
  check_ends(world, traffic().reference);
  check_idle(world);
  BOOST_CHECK_GE(world.counters().failed_steps, failed_at_least);
  for (const engine::Finished& end : world.ends()) {
    BOOST_CHECK_NE(end.finish, std::uint32_t{SL_FINISH_ERROR});
    BOOST_CHECK_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(failures)

BOOST_AUTO_TEST_CASE(one_failed_step_anywhere_changes_no_token) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const bool prefix_cache : {true, false})
      for (std::uint64_t at = 0; at < 60; at += at < 6 ? 1 : 7)
        BOOST_TEST_CONTEXT("lag " << lag << ", step " << at << ", prefix cache " << prefix_cache) {
          World world(setting(lag, 40, prefix_cache), traffic().asks);
          world.executor().device().fail_step(at);
          check(world, 1);
          BOOST_CHECK_EQUAL(world.counters().failed_steps, 1u);
          BOOST_REQUIRE_EQUAL(world.engine().incidents().size(), 1u);
          BOOST_CHECK(world.engine().incidents().front().find(fmt::format("step {} failed", at)) !=
                      std::string::npos);
        }
}

BOOST_AUTO_TEST_CASE(many_failed_steps_apart_and_in_a_row) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint64_t apart : {2u, 3u, 5u, 11u})
      for (const std::uint32_t blocks : {16u, 40u, 1000u}) {
        if (lag == 1 && apart == 2)
          continue;  // each failure voids the step behind it: nothing would ever get through
        BOOST_TEST_CONTEXT("lag " << lag << ", each " << apart << ". step, blocks " << blocks) {
          World world(setting(lag, blocks), traffic().asks);
          for (std::uint64_t at = 3; at < 150; at += apart) world.executor().device().fail_step(at);
          for (const std::uint64_t at : {40u, 80u}) world.executor().device().fail_step(at);
          check(world, 10);
        }
      }
}

// Two prompts that open with the same two blocks. The longer one is 4 tokens into the first when the shorter hangs both into
// the tree, so step 2 writes its own blocks 0 to 3 outside the tree; step 3, planned before step 2 came back, takes the
// tree's first two and hangs in the others. Step 2 fails: what it wrote must not stay cached.
BOOST_AUTO_TEST_CASE(what_a_step_in_flight_writes_is_not_taken_for_filled) {
  std::vector<Ask> two(2);
  two[0].spec.pieces = {{7, 2 * kBlockTokens}, {100, 6 * kBlockTokens}};
  two[1].spec.pieces = {{7, 2 * kBlockTokens}, {200, kBlockTokens}};
  for (Ask& ask : two) ask.spec.max_tokens = 3;
  Setting s = setting(1, 100);
  s.scheduler = "";
  World world(s, two);
  world.executor().device().fail_step(2);
  struct Said {
    std::size_t ask;
    std::uint16_t verb;
    std::uint64_t tokens;
  };
  const Said plans[] = {{0, SL_ADMIT, 4}, {1, SL_ADMIT, 16}, {0, SL_RUN, 28}, {0, SL_RUN, 8}};  // by step
  observe::Writer bytes;
  world.engine().set_override([&](observe::Item item) -> std::optional<std::span<const std::uint8_t>> {
    const std::uint64_t step = world.engine().steps();
    if (item != observe::Item::plan || step >= std::size(plans)) return std::nullopt;
    const auto& [ask, verb, tokens] = plans[step];
    const sl_seq seq = world.row_of(world.id_of(ask)).id;
    bytes.clear();
    for (const std::uint64_t v : {std::uint64_t{SL_REASON_NONE}, std::uint64_t{1}}) bytes.u64(v);
    for (const std::uint64_t v :
         {std::uint64_t{0}, std::uint64_t{SL_SEQ_SLOT(seq)}, std::uint64_t{SL_SEQ_GENERATION(seq)},
          std::uint64_t{verb}, std::uint64_t{0}, tokens, std::uint64_t{0}, std::uint64_t{0},
          std::uint64_t{0}})
      bytes.u64(v);
    return bytes.bytes();
  });
  world.run();
  BOOST_CHECK_EQUAL(world.counters().failed_steps, 1u);
  check_law_1(world, two, alone(two));
  check_idle(world);
}

// Chunks end amid blocks, so sequences of one prefix hold blocks of their own of what another hung in.
BOOST_AUTO_TEST_CASE(failed_steps_under_any_plan) {
  for (const std::uint32_t lag : {0u, 1u})
    for (std::int64_t seed = 0; seed < 30; ++seed) BOOST_TEST_CONTEXT("lag " << lag << ", seed " << seed) {
        Setting s = setting(lag, seed % 2 == 0 ? 40 : 1000);
        s.scheduler = "chaos";
        s.scheduler_options = toml::Table{{"seed", seed}};
        World world(s, traffic().asks);
        for (std::uint64_t at = 3 + static_cast<std::uint64_t>(seed) % 5; at < 400; at += 5)
          world.executor().device().fail_step(at);
        check(world, 10);
      }
}

// Cancelled, paused and resumed around a failure, with what was in flight gone.
BOOST_AUTO_TEST_CASE(failures_amid_pauses_and_cancels) {
  using What = engine::Message::What;
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(setting(lag, 30), traffic().asks);
    for (std::uint64_t at = 5; at < 120; at += 3) world.executor().device().fail_step(at);
    for (std::uint64_t i = 0; i < 120; ++i) {
      if (const std::uint64_t id = world.id_of(i % kRequests); id != 0) {
        world.tell(i % 7 == 6 ? What::cancel : What::pause, id, SL_NEVER);
        if (i % 2 == 0) world.tell(What::resume, id);
      }
      world.one_step();
      BOOST_REQUIRE_EQUAL(world.engine().audit(false), "");
    }
    for (std::size_t i = 0; i < kRequests; ++i) world.tell(What::resume, world.id_of(i));
    world.run();
    check_ends(world, traffic().reference);
    check_idle(world);
  }
}

// A device that fails for ever: requests end with an error, and the engine comes to rest.
BOOST_AUTO_TEST_CASE(failing_for_ever_ends_requests_with_an_error) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint64_t from : {0u, 1u, 30u}) {
      World world(setting(lag, 40), traffic().asks);
      for (std::uint64_t at = from; at < 20000; ++at) world.executor().device().fail_step(at);
      world.run(20000);
      check_ends(world, traffic().reference);
      check_idle(world);
      std::uint32_t errors = 0;
      for (const engine::Finished& end : world.ends()) {
        if (end.finish != SL_FINISH_ERROR) continue;
        ++errors;
        BOOST_CHECK_EQUAL(end.reason, std::uint32_t{SL_REASON_STEP_FAILED});
      }
      BOOST_CHECK_GE(errors, from == 30 ? 10u : kRequests / 2);
      BOOST_CHECK_GE(world.counters().failed_steps, 4u);
    }
}

// It fails four times and recovers: those that were in the batch are lost, the others live.
BOOST_AUTO_TEST_CASE(what_was_not_in_the_failing_batch_lives) {
  for (const std::uint32_t lag : {0u, 1u}) {
    World world(setting(lag, 1000), traffic().asks);
    for (std::uint64_t at = 10; at < 20; ++at) world.executor().device().fail_step(at);
    world.run();
    check_ends(world, traffic().reference);
    check_idle(world);
    std::size_t whole = 0;
    for (const engine::Finished& end : world.ends())
      whole += end.finish == SL_FINISH_LENGTH || end.finish == SL_FINISH_STOP;
    BOOST_CHECK_GE(whole, kRequests / 2);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
