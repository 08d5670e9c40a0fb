// Yields to host memory, planned one by one: what a sequence counts as while its blocks move, and what its yield is told as
// where nothing can move.
#include <boost/test/unit_test.hpp>

#include "engine/records.hpp"
#include "shipped.hpp"
#include "world.hpp"

namespace serveloop::test {

namespace {

using What = engine::Message::What;
using observe::State;

constexpr std::uint64_t kCopyNs = 2'000'000;  // a few steps

Ask ask(std::uint64_t shared, std::uint64_t seed, std::uint32_t own, std::uint32_t tokens) {
  Ask a;
  if (shared > 0) a.spec.pieces.push_back({shared, 2 * kBlockTokens});
  a.spec.pieces.push_back({seed, own});
  a.spec.max_tokens = tokens;
  a.spec.sampling.seed = seed;
  return a;
}

// What yields were logged as: SL_YIELD_* and reason.
struct Yields final : observe::StepLog {
  void begin_step(std::uint64_t) override {}
  void item(observe::Item tag, std::span<const std::uint8_t> bytes) override {
    if (tag != observe::Item::preempted) return;
    observe::Reader in(bytes);
    in.u64(), in.u64(), in.u64();  // who, for whom, by whom
    const std::uint64_t mode = in.u64();
    told.push_back({mode, in.u64()});
  }
  void end_step() override {}
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
};

// The built-in scheduler plans, but for single entries in its place.
class ByHand {
 public:
  explicit ByHand(std::uint32_t lag = 0) : world(setting(lag), {}, &yields) {
    for (std::uint64_t copy = 0; copy < 1000; ++copy) world.executor().copies().delay_copy(copy, kCopyNs);
    world.engine().set_override([this](observe::Item item) -> std::optional<std::span<const std::uint8_t>> {
      if (item != observe::Item::plan || next_.verb == 0) return std::nullopt;
      bytes_.clear();
      bytes_.u64(SL_REASON_NONE);
      engine::encode_plan(std::vector<sl_entry>{std::exchange(next_, {})}, {}, world.engine().requests(),
                          bytes_);
      return bytes_.bytes();
    });
  }
  void plan(std::uint64_t request, std::uint16_t verb, std::uint32_t blocks = 0, std::uint64_t arg = 0) {
    next_.seq = row(request).id, next_.verb = verb, next_.blocks = blocks, next_.arg = arg;
    step();
    BOOST_REQUIRE_EQUAL(next_.verb, 0u);
  }
  void step() {
    world.one_step();
    BOOST_REQUIRE_EQUAL(world.engine().audit(false), "");
  }
  const sl_seq_row& row(std::uint64_t request) const { return world.row_of(request); }
  bool moves(std::uint64_t request) const { return (row(request).not_ready & SL_NOT_READY_TRANSFER) != 0; }
  State state(std::uint64_t request) const {
    return static_cast<State>(world.engine().requests().at(SL_SEQ_SLOT(row(request).id)).planned);
  }
  std::uint64_t send_and_decode(const Ask& a) {
    const std::uint64_t request = world.send(a);
    do step();
    while (row(request).generated < 4);
    return request;
  }

  Yields yields;
  World world;

 private:
  static Setting setting(std::uint32_t lag) {
    Setting s;
    s.scheduler = "";
    s.blocks = 24;
    s.host_blocks = 60;
    s.token_budget = 128;
    s.lag = lag;
    return s;
  }
  sl_entry next_{};
  observe::Writer bytes_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(yield_by_hand)

// One that is parked while it holds blocks yields them to host memory. What it waits for is its copy, whether it is held
// beside that or no more, and after that whoever holds it.
BOOST_AUTO_TEST_CASE(parked_with_its_blocks_on_their_way) {
  for (const bool released_on_its_way : {false, true}) {
    ByHand by_hand;
    World& world = by_hand.world;
    const Ask one = ask(0, 5, 60, 20);
    world.send(ask(0, 6, 10, 28));  // so that there is something to plan
    const std::uint64_t request = by_hand.send_and_decode(one);
    by_hand.plan(request, SL_PREEMPT, 7, SL_YIELD_KEEP);
    by_hand.plan(request, SL_PARK, 0, SL_NEVER);
    BOOST_CHECK(by_hand.state(request) == State::held);
    by_hand.plan(request, SL_PREEMPT, 0, SL_YIELD_SWAP);
    BOOST_REQUIRE(by_hand.moves(request));
    BOOST_CHECK(by_hand.state(request) == State::transfer);
    if (!released_on_its_way) {
      while (by_hand.moves(request)) by_hand.step();
      BOOST_CHECK(by_hand.state(request) == State::held);
    }
    world.tell(What::release, request);
    if (released_on_its_way) {
      by_hand.step();
      BOOST_REQUIRE(by_hand.moves(request));
      BOOST_CHECK(by_hand.state(request) == State::transfer);
    }
    world.run();
    BOOST_CHECK(world.output_of(request) == alone({one}).at({0, 0}));
    check_idle(world);
  }
}

// It holds two blocks of a prefix below which another's stand on the device: they cannot move. Nothing is written to them, so
// that is not why.
BOOST_AUTO_TEST_CASE(a_swap_by_which_nothing_moves_is_told_as_a_recompute) {
  ByHand by_hand;
  World& world = by_hand.world;
  const Ask two = ask(1000, 8, 9, 20);
  world.send(ask(0, 6, 10, 28));  // so that there is something to plan
  const std::uint64_t first = world.send(ask(1000, 7, 2 * kBlockTokens, 2));
  while (world.end_of(first) == nullptr) by_hand.step();
  const std::uint64_t second = by_hand.send_and_decode(two);
  by_hand.plan(second, SL_PREEMPT, 2, SL_YIELD_KEEP);
  BOOST_REQUIRE_EQUAL(by_hand.row(second).blocks_device, 2u);
  by_hand.plan(second, SL_PREEMPT, 0, SL_YIELD_SWAP);
  BOOST_CHECK_EQUAL(by_hand.row(second).blocks_device, 0u);
  BOOST_CHECK_EQUAL(world.counters().swapped_out, 0u);
  BOOST_REQUIRE_EQUAL(by_hand.yields.told.size(), 2u);
  BOOST_CHECK_EQUAL(by_hand.yields.told[0].first, std::uint64_t{SL_YIELD_KEEP});
  BOOST_CHECK_EQUAL(by_hand.yields.told[1].first, std::uint64_t{SL_YIELD_RECOMPUTE});
  BOOST_CHECK_EQUAL(by_hand.yields.told[1].second, std::uint64_t{SL_REASON_NONE});
  for (const auto& [decision, count] :
       {std::pair{"preempt", 2u}, {"keep", 1u}, {"recompute", 1u}, {"swap", 0u}})
    BOOST_CHECK_EQUAL(decided(world.engine(), decision), count);
  BOOST_CHECK_EQUAL(world.counters().preemptions, 2u);
  world.run();
  BOOST_CHECK(world.output_of(second) == alone({two}).at({0, 0}));
  check_idle(world);
}

// What it keeps is the front of its table, in whole blocks, those that a step in flight fills among them; a number beyond is
// cut to that, also one beyond the pool. The row says so at once.
BOOST_AUTO_TEST_CASE(a_keep_is_cut_to_whole_blocks) {
  for (const std::uint32_t lag : {0u, 1u}) {
    ByHand by_hand(lag);
    World& world = by_hand.world;
    const Ask one = ask(0, 5, 60, 20);
    world.send(ask(0, 6, 10, 40));  // so that there is something to plan
    const std::uint64_t request = by_hand.send_and_decode(one);
    // 8 tokens a block: until the token in flight, or computed last, fills the ninth.
    while (by_hand.row(request).computed + by_hand.row(request).in_flight_max < 72) by_hand.step();
    BOOST_REQUIRE_EQUAL(by_hand.row(request).in_flight_max, lag);
    for (const auto& [keep, kept] : {std::pair{1000u, 9u}, {3u, 3u}, {3u, 3u}, {0u, 0u}}) {
      by_hand.plan(request, SL_PREEMPT, keep, SL_YIELD_KEEP);
      const sl_seq_row& row = by_hand.row(request);
      BOOST_CHECK_EQUAL(row.state, SL_WAITING);
      BOOST_CHECK_EQUAL(row.blocks_device, kept);
      BOOST_CHECK_EQUAL(row.computed, kept * kBlockTokens);
      BOOST_CHECK_EQUAL(row.in_flight_max, 0u);
      if (kept > 0) BOOST_CHECK_EQUAL(by_hand.yields.told.back().first, std::uint64_t{SL_YIELD_KEEP});
    }
    BOOST_CHECK(world.counters().fallbacks.empty());
    world.run();
    BOOST_CHECK(world.output_of(request) == alone({one}).at({0, 0}));
    check_idle(world);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
