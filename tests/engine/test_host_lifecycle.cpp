// Pause, resume, cancel and hot swaps, of and beside sequences whose blocks lie in host memory or are on their way: nobody
// loses a token, and no block of either tier is lost.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>

#include "shipped.hpp"

namespace serveloop::test {

namespace {

using policy::Kind;
using What = engine::Message::What;

constexpr std::uint64_t kStepNs = 1'000'000;  // about
constexpr std::uint64_t kCopyNs = 2 * kStepNs;

Ask ask(std::uint64_t seed, std::uint32_t shared, std::uint32_t own, std::uint32_t tokens,
        std::uint64_t at_step) {
  Ask a;
  a.at_step = at_step;
  if (shared > 0) a.spec.pieces.push_back({1000 + seed % 3, shared});
  a.spec.pieces.push_back({seed, own});
  a.spec.max_tokens = tokens;
  a.spec.sampling.seed = seed;
  a.spec.priority = static_cast<std::int32_t>(seed % 2);
  return a;
}

// More than the pool holds, twice; half of them begin as others did before them, whose blocks went to host memory.
const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = [] {
    std::vector<Ask> crowd;
    for (std::uint32_t i = 0; i < 28; ++i)
      crowd.push_back(
          ask(10 + i, i % 2 == 0 ? 40 : 0, 9 + 3 * i % 25, 20 + 7 * i % 26, i < 16 ? 4 * i : 240 + 3 * i));
    return crowd;
  }();
  return all;
}
const Outputs& reference() {
  static const Outputs all = alone(asks());
  return all;
}

Setting tight(std::uint32_t lag, const char* scheduler) {
  Setting s;
  s.scheduler = scheduler;
  s.eviction_options = toml::Table{{"ahead_share", 0.3}};
  s.preemption = "swap";
  s.blocks = 24;
  s.host_blocks = 60;
  s.token_budget = 32;
  s.max_sequences = 5;
  s.lag = lag;
  return s;
}

// Copies take longer than steps, so that sequences are seen on their way.
void slow_down(World& world, bool some_fail) {
  for (std::uint64_t copy = 0; copy < 3000; ++copy) {
    world.executor().copies().delay_copy(copy, kCopyNs);
    if (some_fail && copy % 17 == 16) world.executor().copies().fail_copy(copy);
  }
}

bool moves(const sl_seq_row& r) { return (r.not_ready & SL_NOT_READY_TRANSFER) != 0; }

struct Stage {
  const char* name;
  bool (*reached)(const sl_seq_row& row);
};
const Stage kStages[] = {
    {"on its way out", [](const sl_seq_row& r) { return r.state == SL_SWAPPED && moves(r); }},
    {"in host memory", [](const sl_seq_row& r) { return r.state == SL_SWAPPED && r.not_ready == 0; }},
    {"on its way back",
     [](const sl_seq_row& r) { return r.state == SL_RESERVED && moves(r) && r.preemptions > 0; }},
    {"its prefix on its way",
     [](const sl_seq_row& r) { return r.state == SL_RESERVED && moves(r) && r.preemptions == 0; }},
};

// Steps until a sequence is at that stage. Returns its request id.
std::uint64_t reach(World& world, const Stage& stage) {
  const requests::Manager& requests = world.engine().requests();
  for (int i = 0; i < 3000; ++i) {
    if (!world.one_step()) break;
    for (const requests::Slot slot : requests.live_slots())
      if (stage.reached(requests.row(slot))) return requests.request_of(slot).request;
  }
  BOOST_REQUIRE_MESSAGE(false, "stage '" << stage.name << "' was never reached");
  return 0;
}

void at_every_stage(const std::function<void(World&, std::uint64_t)>& act) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const char* scheduler :
         {"fcfs", "priority", "sarathi", "vtc"})  // lpm leaves no prefix to be fetched here
      for (const Stage& stage : kStages)
        for (const bool some_fail : {false, true})
          BOOST_TEST_CONTEXT(stage.name << ", lag " << lag << ", " << scheduler << ", copies fail "
                                        << some_fail) {
            World world(tight(lag, scheduler), asks());
            slow_down(world, some_fail);
            act(world, reach(world, stage));
            world.run();
            check_ends(world, reference());
            check_idle(world);
            BOOST_CHECK(world.counters().fallbacks.empty());
            BOOST_CHECK(world.engine().incidents().empty());
          }
}

std::uint32_t finish_of(const World& world, std::uint64_t request) {
  const engine::Finished* end = world.end_of(request);
  BOOST_REQUIRE(end != nullptr);
  return end->finish;
}

void steps(World& world, int count) {
  for (int i = 0; i < count; ++i) {
    world.one_step();
    BOOST_REQUIRE_EQUAL(world.engine().audit(false), "");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(host_lifecycle)

BOOST_AUTO_TEST_CASE(cancelled_at_every_stage) {
  at_every_stage([](World& world, std::uint64_t request) {
    const std::uint64_t now = world.clock().now_ns();
    world.tell(What::cancel, request);
    steps(world, 1);
    BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_CANCELLED});
    BOOST_CHECK_EQUAL(world.end_of(request)->end_ns, now);  // at once: it does not wait for its copies
    steps(world, 20);
  });
}

// At once, while its copies go on, and when they have ended.
BOOST_AUTO_TEST_CASE(paused_and_resumed_at_every_stage) {
  constexpr int kUntilThere = 500;
  for (const int between : {0, 1, 4, kUntilThere})
    at_every_stage([between](World& world, std::uint64_t request) {
      const std::uint32_t generated = world.row_of(request).generated;
      world.tell(What::pause, request, SL_NEVER);
      for (int i = 0; i < between; ++i) {
        steps(world, 1);
        if (between == kUntilThere && !moves(world.row_of(request))) break;
      }
      if (between > 0) {
        BOOST_CHECK_EQUAL(world.row_of(request).state, SL_PAUSED);
        BOOST_CHECK_EQUAL(world.row_of(request).generated, generated);
      }
      if (between == kUntilThere) BOOST_CHECK(!moves(world.row_of(request)));
      world.tell(What::resume, request);
      world.run();
      BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
    });
}

BOOST_AUTO_TEST_CASE(paused_and_cancelled_at_every_stage) {
  for (const int between : {0, 1, 30})
    at_every_stage([between](World& world, std::uint64_t request) {
      world.tell(What::pause, request, SL_NEVER);
      steps(world, between);
      world.tell(What::cancel, request);
      steps(world, 20);
      BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_CANCELLED});
    });
}

// The new one is told of those who are away, and brings them back; the blocks that move are somebody's all the time.
BOOST_AUTO_TEST_CASE(policies_change_at_every_stage) {
  const std::vector<std::pair<Kind, std::vector<const char*>>> kTo = {
      {Kind::scheduler, kSchedulers},
      {Kind::eviction, {"lru", "slru"}},
      {Kind::preemption, {"cost", "swap", "recompute"}}};
  for (const auto& [kind, names] : kTo)
    for (const char* name : names)
      at_every_stage([kind = kind, name](World& world, std::uint64_t request) {
        world.swap(kind, {name, {}});
        steps(world, 1);
        BOOST_CHECK_EQUAL(world.counters().swaps, 1u);
        world.run();
        BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
      });
}

// All at once, as an operator would who restarts everything; and again while the copies are still under way.
BOOST_AUTO_TEST_CASE(all_policies_change_again_and_again) {
  at_every_stage([](World& world, std::uint64_t request) {
    std::uint64_t swaps = 0;
    for (std::uint64_t round = 0; round < 3; ++round) {
      for (const Setting::Swap& swap : random_swaps(round)) {
        world.swap(swap.kind, swap.to);
        ++swaps;
      }
      world.tell(round % 2 == 0 ? What::pause : What::resume, request, SL_NEVER);
      steps(world, 2);
    }
    world.tell(What::resume, request);
    world.run();
    BOOST_CHECK_EQUAL(world.counters().swaps, swaps);
    BOOST_CHECK_EQUAL(finish_of(world, request), std::uint32_t{SL_FINISH_LENGTH});
  });
}

// A paused sequence yields its blocks to host memory, and has them again when it goes on: nothing is computed twice.
BOOST_AUTO_TEST_CASE(swapped_while_paused) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const bool resumed_on_its_way : {false, true}) {
      const std::vector<Ask> one = {ask(5, 0, 60, 20, 0)};
      Setting s = tight(lag, "fcfs");
      s.blocks = 16;
      s.token_budget = 128;
      World world(s, {});
      slow_down(world, false);
      const std::uint64_t request = world.send(one.front());
      do BOOST_REQUIRE(world.one_step());
      while (world.row_of(request).generated < 4);
      world.tell(What::pause, request, SL_NEVER);
      steps(world, 2);
      const std::uint64_t large = world.send(ask(6, 0, 100, 20, 0));
      while (world.row_of(request).preemptions == 0) steps(world, 1);
      BOOST_CHECK_EQUAL(world.row_of(request).state, SL_PAUSED);
      BOOST_CHECK_EQUAL(world.row_of(request).blocks_device, 0u);
      BOOST_CHECK_GE(world.row_of(request).blocks_host, 8u);
      BOOST_CHECK(moves(world.row_of(request)));
      while (!resumed_on_its_way && world.end_of(large) == nullptr) steps(world, 1);
      world.tell(What::resume, request);
      steps(world, 1);
      if (resumed_on_its_way) BOOST_CHECK_EQUAL(world.row_of(request).state, SL_SWAPPED);
      world.run();
      BOOST_CHECK(world.output_of(request) == alone(one).at({0, 0}));
      BOOST_CHECK_EQUAL(world.counters().swapped_out, 1u);
      BOOST_CHECK_EQUAL(world.counters().swapped_in, 1u);
      BOOST_CHECK_EQUAL(world.end_of(request)->recomputed_tokens, 0u);
      check_idle(world);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
