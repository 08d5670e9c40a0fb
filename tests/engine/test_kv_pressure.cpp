// Whatever clients, operators and policies do: no block is lost, no token changes, and the smallest legal
// pool makes progress.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "../sanitized.hpp"
#include "base/hash.hpp"
#include "shipped.hpp"

namespace serveloop::test {

namespace {

using policy::Choice;
using policy::Kind;
using What = engine::Message::What;

constexpr std::uint32_t kLongestPrompt = 80;
constexpr std::uint32_t kSmallest = (kLongestPrompt + 28 + kBlockTokens - 2) / kBlockTokens;

struct Traffic {
  std::vector<Ask> asks;
  Outputs reference;
  explicit Traffic(std::uint32_t count) : asks(mixed_asks(count, 47, kLongestPrompt)) {
    for (Ask& ask : asks) ask.cancel_after = 0;
    reference = alone(asks);
  }
};
const Traffic& traffic() {
  static const Traffic all(60);
  return all;
}

// Ten thousand operations drawn from a seed.
class Storm {
 public:
  Storm(const Setting& setting, std::uint64_t seed) : world_(setting, {}), seed_(seed) {}

  void run(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i) {
      operate();
      if (i % 50 == 0) BOOST_REQUIRE_EQUAL(world_.engine().audit(false), "");
    }
    for (const std::uint64_t request : paused_) world_.tell(What::resume, request);
    settle();
    for (const engine::Finished& end : world_.ends()) check(end);
    BOOST_REQUIRE_EQUAL(world_.ends().size(), sequences_);
    check_idle(world_);
  }
  World& world() { return world_; }

 private:
  std::uint64_t draw(std::uint64_t n) { return mix(seed_, ++draws_) % n; }

  void operate() {
    const std::uint64_t what = draw(100);
    if (what < 55)
      static_cast<void>(world_.one_step());
    else if (what < 68)
      submit();
    else if (requests_.empty())
      return;
    else if (what < 75)
      world_.tell(What::cancel, any());
    else if (what < 84)
      pause();
    else if (what < 96)
      resume();
    else
      swap();
  }
  std::uint64_t any() {
    return requests_[requests_.size() - 1 - draw(std::min<std::size_t>(requests_.size(), 30))];
  }

  void submit() {
    if (world_.engine().requests().live_count() > 60) return;
    const std::size_t base = draw(traffic().asks.size());
    const std::uint64_t id = world_.send(traffic().asks[base]);
    base_of_[id] = base;
    sequences_ += traffic().asks[base].spec.n;
    requests_.push_back(id);
  }
  void pause() {
    const std::uint64_t id = any();
    world_.tell(What::pause, id, SL_NEVER);
    paused_.push_back(id);
    if (draw(4) == 0) world_.tell(draw(2) == 0 ? What::resume : What::release, id);
  }
  void resume() {
    if (paused_.empty()) return;
    const std::size_t which = draw(paused_.size());
    world_.tell(What::resume, paused_[which]);
    paused_[which] = paused_.back();
    paused_.pop_back();
  }
  void swap() {
    switch (draw(6)) {
      case 0: return world_.swap(Kind::scheduler, {"sarathi", {}});
      case 1: return world_.swap(Kind::scheduler, {"priority", {}});
      case 2:
      case 3:
        return world_.swap(Kind::scheduler,
                           {"chaos", toml::Table{{"seed", static_cast<std::int64_t>(draw(1000))}}});
      case 4: return world_.swap(Kind::eviction, {draw(2) == 0 ? "lru" : "slru", {}});
      default: return world_.swap(Kind::preemption, {kPreemptions[draw(5)], {}});
    }
  }

  // What a scheduler parked for ever is let go.
  void settle() {
    for (int i = 0; i < 50 && world_.engine().busy(); ++i) {
      world_.run();
      for (const std::uint64_t request : requests_) world_.tell(What::release, request);
    }
  }
  void check(const engine::Finished& end) {
    const Tokens& right = traffic().reference.at({base_of_.at(end.request), end.fork});
    const Tokens& got = world_.output_of(end.request, end.fork);
    if (end.finish != SL_FINISH_CANCELLED) BOOST_REQUIRE_EQUAL(got.size(), right.size());
    BOOST_REQUIRE_LE(got.size(), right.size());
    BOOST_REQUIRE(std::equal(got.begin(), got.end(), right.begin()));
    BOOST_REQUIRE_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
  }

  World world_;
  std::uint64_t seed_, draws_ = 0;
  std::vector<std::uint64_t> requests_, paused_;
  std::map<std::uint64_t, std::size_t> base_of_;
  std::size_t sequences_ = 0;
};

Setting stormy(std::uint32_t lag, bool prefix_cache, std::uint32_t blocks) {
  Setting s;
  s.scheduler = "chaos";
  s.lag = lag;
  s.prefix_cache = prefix_cache;
  s.blocks = blocks;
  s.token_budget = 40;
  s.bypass_steps = 6;
  return s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_pressure)

BOOST_AUTO_TEST_CASE(ten_thousand_random_operations) {
  std::uint64_t seed = 0;
  for (const std::uint32_t lag : {0u, 1u})
    for (const bool prefix_cache : {true, false})
      for (const std::uint32_t blocks : {kSmallest, 3 * kSmallest, 400u})
        BOOST_TEST_CONTEXT("lag " << lag << ", prefix cache " << prefix_cache << ", blocks " << blocks) {
          Storm storm(stormy(lag, prefix_cache, blocks), ++seed);
          storm.run(kUnderAsan ? 3000 : 10000);
          const engine::Counters& c = storm.world().counters();
          BOOST_CHECK_GE(c.preemptions, 20u);
          BOOST_CHECK_GE(c.swaps, 20u);
          if (prefix_cache && blocks < 400) BOOST_CHECK_GE(c.evicted_blocks, 20u);
          for (const auto& [what, count] :
               c.fallbacks)  // chaos may leave everything undone for a while; no more than that
            BOOST_CHECK_EQUAL(what.second, SL_REASON_NO_PROGRESS);
        }
}

// The same with a second tier, whose copies take longer than steps do, and some of which fail: whoever is cancelled, paused,
// resumed or handed over may be there or on the way.
BOOST_AUTO_TEST_CASE(ten_thousand_random_operations_with_host_memory) {
  std::uint64_t seed = 100;
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t host_blocks : {kSmallest, 120u})
      BOOST_TEST_CONTEXT("lag " << lag << ", host blocks " << host_blocks) {
        Setting s = stormy(lag, true, 2 * kSmallest);
        s.host_blocks = host_blocks;
        s.eviction_options = toml::Table{{"ahead_share", 0.2}};
        Storm storm(s, ++seed);
        execute::CopyTime& copies = storm.world().executor().copies();
        for (std::uint64_t copy = 0; copy < 20000; ++copy) {
          copies.delay_copy(copy, mix(seed, copy) % 2'000'000);
          if (mix(seed + 1, copy) % 11 == 0) copies.fail_copy(copy);
        }
        storm.run(kUnderAsan ? 3000 : 10000);
        const engine::Counters& c = storm.world().counters();
        BOOST_TEST_MESSAGE("lag " << lag << ", host " << host_blocks << ": " << c.swapped_out << " out, "
                                  << c.swapped_in << " in, " << c.demoted_blocks << " demoted, "
                                  << c.prefetched_blocks << " prefetched, " << c.copies_failed << " failed, "
                                  << c.swaps << " swaps");
        for (const std::uint64_t count :
             {c.swapped_out, c.swapped_in, c.demoted_blocks, c.prefetched_blocks, c.copies_failed, c.swaps})
          BOOST_CHECK_GE(count, 20u);
        for (const auto& [what, count] : c.fallbacks) BOOST_CHECK_EQUAL(what.second, SL_REASON_NO_PROGRESS);
      }
}

BOOST_AUTO_TEST_CASE(any_valid_plan_keeps_law_1) {
  for (std::int64_t seed = 1; seed <= 30; ++seed) BOOST_TEST_CONTEXT("seed " << seed) {
      Setting s = stormy(static_cast<std::uint32_t>(seed % 2), seed % 3 != 0, seed % 5 == 0 ? kSmallest : 40);
      s.scheduler_options = toml::Table{{"seed", seed}};
      World world(s, traffic().asks);
      for (int i = 0; i < 50 && world.ends().size() < traffic().reference.size(); ++i) {
        world.run();
        for (std::size_t ask = 0; ask < traffic().asks.size(); ++ask)
          world.tell(What::release, world.id_of(ask));
      }
      check_ends(world, traffic().reference);
      check_idle(world);
      BOOST_CHECK_GE(world.counters().preemptions, 20u);
    }
}

BOOST_AUTO_TEST_CASE(the_smallest_legal_pool_makes_progress_under_every_trio) {
  std::vector<const char*> schedulers = kSchedulers;
  schedulers.insert(schedulers.end(), {"", "chaos"});
  for (const char* scheduler : schedulers)
    for (const char* eviction : {"", "lru", "slru"})
      for (const char* preemption : {"", "recompute", "cost", "swap", "least-progress", "most-blocks"})
        for (const std::uint32_t lag : {0u, 1u})
          BOOST_TEST_CONTEXT(scheduler << "/" << eviction << "/" << preemption << " lag " << lag) {
            Setting s = stormy(lag, true, kSmallest);
            s.scheduler = scheduler, s.eviction = eviction, s.preemption = preemption;
            World world(s, traffic().asks);
            for (int i = 0; i < 50 && world.ends().size() < traffic().reference.size(); ++i) {
              world.run();
              for (std::size_t ask = 0; ask < traffic().asks.size(); ++ask)
                world.tell(What::release, world.id_of(ask));
            }
            check_ends(world, traffic().reference);
            check_idle(world);
            BOOST_CHECK_GE(world.counters().preemptions, 10u);
            for (const auto& [what, count] : world.counters().fallbacks)  // no answer of a plugin was refused
              BOOST_CHECK_EQUAL(what.second, SL_REASON_NO_PROGRESS);
          }
}

BOOST_AUTO_TEST_CASE(the_smallest_legal_pool_makes_progress_with_a_plugin_that_misbehaves) {
  const std::vector<std::pair<Kind, std::vector<const char*>>> all = {
      {Kind::scheduler,
       {"unknown_id", "stale_id", "over_budget", "twice", "wrong_state", "overflow", "empty", "exception",
        "negative_status", "unknown_verb", "bad_number", "starve"}},
      {Kind::eviction,
       {"unknown_id", "stale_key", "pinned", "twice", "cached_children", "too_few", "empty", "exception",
        "negative_status", "overflow", "bad_number"}},
      {Kind::preemption,
       {"unknown_id", "stale_id", "not_a_candidate", "twice", "empty", "exception", "negative_status",
        "overflow", "bad_number"}}};
  for (const auto& [kind, modes] : all)
    for (const char* mode : modes)
      for (const std::int64_t rate : {1, 2})
        BOOST_TEST_CONTEXT(policy::name_of(kind) << " " << mode << ", rate " << rate) {
          Setting s = stormy(static_cast<std::uint32_t>(rate - 1), true, kSmallest);
          const toml::Value options = toml::Table{{"mode", mode}, {"rate", rate}};
          s.scheduler = "fcfs";
          if (kind == Kind::scheduler) s.scheduler = "bad-scheduler", s.scheduler_options = options;
          if (kind == Kind::eviction) s.eviction = "bad-eviction", s.eviction_options = options;
          if (kind == Kind::preemption) s.preemption = "bad-preemption", s.preemption_options = options;
          World world(s, traffic().asks);
          world.run(20000);
          check_ends(world, traffic().reference);
          check_idle(world);
        }
}

// A step that evicts thousands of nodes tells of all of them, however few sequences the tables are laid out
// for.
BOOST_AUTO_TEST_CASE(one_prompt_takes_the_whole_cache) {
  constexpr std::uint32_t kBlocks = 6000;
  Setting s;
  s.blocks = kBlocks;
  s.max_waiting = 8;
  s.max_sequences = 4;
  s.token_budget = 2 * kBlocks * kBlockTokens;
  World world(s, {});
  Ask ask;
  ask.spec.max_tokens = 1;
  for (std::uint64_t i = 0; i < kBlocks + 50; ++i) {
    ask.spec.pieces = {{i, kBlockTokens + 1}};
    world.send(ask);
    world.one_step();
  }
  world.run();
  BOOST_CHECK_LT(world.engine().cache().tier(SL_TIER_DEVICE).free, 100u);
  ask.spec.pieces = {{1u << 20, kBlocks * kBlockTokens - 8}};
  const std::uint64_t request = world.send(ask);
  world.run();
  world.send(ask);
  world.run();
  BOOST_CHECK_EQUAL(world.end_of(request)->finish, std::uint32_t{SL_FINISH_LENGTH});
  check_idle(world);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
