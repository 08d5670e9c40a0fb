// Law 1: whatever policies decide, a request's tokens are those it would get alone.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

#include "shipped.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 200, kLongestPrompt = 96, kMostOutput = 28, kRoomy = 1024;
constexpr std::uint64_t kAtLeast = 20;

// `lengthy`: every seventh prompt is longer than the largest token budget, so that they are split and fill the roomy
// pool more than once; the others have longer outputs, which run short of memory as they grow.
struct Traffic {
  std::vector<Ask> asks = mixed_asks(kRequests, 7, kLongestPrompt);
  Outputs reference;
  std::uint32_t smallest = 0;  // the smallest pool that intake accepts for the longest of them

  explicit Traffic(bool lengthy) {
    for (std::uint32_t i = 0; lengthy && i < kRequests; ++i)
      if (i % 7 == 3)
        asks[i].spec.pieces = {{90000 + i, 520 + i % 64}}, asks[i].spec.n = 1;
      else
        asks[i].spec.max_tokens = 3 * *asks[i].spec.max_tokens;
    std::uint32_t longest = kLongestPrompt;
    for (const Ask& ask : asks) longest = std::max(longest, ask.spec.prompt_tokens());
    smallest = (longest + kMostOutput + kBlockTokens - 2) / kBlockTokens;
    reference = alone(asks);
  }
};
const Traffic& traffic(bool lengthy) {
  static const Traffic brief(false), all(true);
  return lengthy ? all : brief;
}

// Of requests that have no fork to share with: what others left in the cache, or they themselves before they yielded.
std::uint64_t hit_blocks(const World& world, const Traffic& t) {
  std::uint64_t blocks = 0;
  for (const engine::Finished& end : world.ends())
    if (t.asks[world.ask_of(end.request)].spec.n == 1) blocks += end.hit_tokens / kBlockTokens;
  return blocks;
}

bool holds_worst_case(std::string_view scheduler) { return scheduler == "orca" || scheduler == "static"; }
bool cuts_only_what_it_must(std::string_view scheduler) {
  return scheduler == "orca" || scheduler == "prefill-first";
}
// What others computed is cached by the time that it is their turn.
bool finds_most_cached(std::string_view scheduler) { return scheduler == "lpm" || scheduler == "dlpm"; }
bool predicts(std::string_view scheduler) { return scheduler == "memory-aware"; }

// Returns how often sequences yielded.
std::uint64_t check(const Setting& s, const Traffic& t) {
  std::uint64_t preemptions = 0;
  BOOST_TEST_CONTEXT(s.name()) {
    World world(s, t.asks);
    world.run();
    check_law_1(world, t.asks, t.reference);
    BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    BOOST_REQUIRE_EQUAL(world.ends().size(), t.reference.size());
    const engine::Counters& c = world.counters();
    if (s.swaps.empty() && holds_worst_case(s.scheduler))
      BOOST_CHECK_EQUAL(c.preemptions, 0u);
    else if (s.blocks < kRoomy && s.swaps.empty() && !predicts(s.scheduler) && !makes_no_room(s.scheduler))
      BOOST_CHECK_GE(c.preemptions, kAtLeast);
    if (s.prefix_cache) BOOST_CHECK_GE(c.evicted_blocks, kAtLeast);
    const std::uint64_t hits = hit_blocks(world, t);
    if (s.prefix_cache)
      BOOST_CHECK_GE(hits, kAtLeast);
    else
      BOOST_CHECK_EQUAL(hits, 0u);
    const bool few_split = cuts_only_what_it_must(s.scheduler) || finds_most_cached(s.scheduler);
    BOOST_CHECK_GE(c.split_prompts, few_split ? kAtLeast / 4 : kAtLeast);
    BOOST_CHECK_EQUAL(c.swaps, s.swaps.size());
    if (s.preemption == "cost" && s.blocks < kRoomy && !makes_no_room(s.scheduler))
      BOOST_CHECK_GE(decided(world.engine(), "keep"), kAtLeast);
    if (!s.gates.empty()) BOOST_CHECK_GE(decided(world.engine(), "park"), kAtLeast);
    for (const auto& [what, count] : c.fallbacks)
      BOOST_ERROR(fmt::format("kind {} fell back {} times, reason {}", what.first, count, what.second));
    preemptions = c.preemptions;
  }
  return preemptions;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(law_1)

BOOST_AUTO_TEST_CASE(the_full_product) {
  std::uint64_t run = 0;
  for (const char* scheduler : {"fcfs", "priority", "sarathi"})
    for (const char* eviction : {"lru", "slru"})
      for (const std::uint32_t pool : {1u, 2u, 0u})  // times the smallest; 0: roomy
        for (const bool prefix_cache : {true, false})
          for (const std::uint32_t budget : {24u, 64u, 512u})
            for (const std::uint32_t lag : {0u, 1u})
              for (const bool swaps : {false, true}) {
                const Traffic& t = traffic(pool == 0 || budget == 512);
                Setting s;
                s.scheduler = scheduler;
                s.eviction = eviction;
                s.blocks = pool == 0 ? kRoomy : pool * t.smallest;
                s.prefix_cache = prefix_cache;
                s.token_budget = budget;
                s.lag = lag;
                if (swaps) s.swaps = random_swaps(++run);
                check(s, t);
              }
}

// Who holds the worst case from the start never yields.
BOOST_AUTO_TEST_CASE(those_who_look_for_room_first) {
  std::uint64_t run = 0;
  for (const char* scheduler : kRoomFirst)
    for (const std::uint32_t pool : {1u, 2u, 0u})  // times the smallest; 0: roomy
      for (const std::uint32_t budget : {24u, 64u})
        for (const bool prefix_cache : {true, false})
          for (const std::uint32_t lag : {0u, 1u})
            for (const bool swaps : {false, true}) {
              const Traffic& t = traffic(pool == 0);
              Setting s;
              s.scheduler = scheduler;
              s.eviction = ++run % 2 == 0 ? "lru" : "slru";
              s.blocks = pool == 0 ? kRoomy : pool * t.smallest;
              s.prefix_cache = prefix_cache;
              s.token_budget = budget;
              s.lag = lag;
              if (swaps) s.swaps = random_swaps(run);
              check(s, t);
            }
}

// Whatever it is made of.
BOOST_AUTO_TEST_CASE(composed_of_any_parts) {
  std::uint64_t run = 0;
  for (const char* order : {"arrival", "priority", "shortest", "deadline"})
    for (const char* admission : {"slots", "worst_case", "predicted"})
      for (const char* chunking : {"capped", "whole", "decodes_first", "prefill_first"})
        BOOST_TEST_CONTEXT(order << ", " << admission << ", " << chunking) {
          const Traffic& t = traffic(false);
          Setting s;
          s.scheduler = "composed";
          s.scheduler_options = toml::Table{
              {"order", order}, {"admission", admission}, {"chunking", chunking}, {"chunk_budget", 32}};
          s.blocks = (1 + run % 2) * t.smallest;
          s.token_budget = 64;
          s.lag = static_cast<std::uint32_t>(++run % 2);
          s.preemption = kPreemptions[run % std::size(kPreemptions)];
          World world(s, t.asks);
          world.run();
          check_law_1(world, t.asks, t.reference);
          BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
          const engine::Counters& c = world.counters();
          BOOST_CHECK(c.fallbacks.empty());
          if (std::string_view(admission) == "worst_case") BOOST_CHECK_EQUAL(c.preemptions, 0u);
          if (std::string_view(admission) == "slots" && std::string_view(chunking) != "prefill_first")
            BOOST_CHECK_GE(c.preemptions, kAtLeast);
        }
}

// Whatever the order.
BOOST_AUTO_TEST_CASE(every_scheduler_policy) {
  std::uint64_t run = 0;
  std::map<std::string, std::uint64_t> preemptions;  // where none is swapped, by scheduler
  for (const char* scheduler : kSchedulers)
    for (const std::uint32_t pool : {1u, 2u, 0u})  // times the smallest; 0: roomy
      for (const std::uint32_t budget : {24u, 64u, 512u})
        for (const std::uint32_t lag : {0u, 1u})
          for (const bool swaps : {false, true}) {
            if (pool == 2 && budget == 512) continue;  // runs short too rarely
            const Traffic& t = traffic(pool == 0 || budget == 512);
            Setting s;
            s.scheduler = scheduler;
            s.eviction = kEvictions[++run % kEvictions.size()];
            if (!swaps) s.preemption = kPreemptions[run % std::size(kPreemptions)];
            s.blocks = pool == 0 ? kRoomy : pool * t.smallest;
            s.prefix_cache = run % 3 != 0;
            s.token_budget = budget;
            s.lag = lag;
            if (swaps) s.swaps = random_swaps(run);
            const std::uint64_t yielded = check(s, t);
            if (!swaps) preemptions[scheduler] += yielded;
          }
  for (const auto& [scheduler, count] : preemptions)
    BOOST_CHECK_MESSAGE(count >= 2 * kAtLeast, scheduler << " preempted only " << count << " times");
}

// Whoever yields, and whatever it keeps.
BOOST_AUTO_TEST_CASE(every_preemption_policy) {
  const Traffic& t = traffic(false);
  std::uint64_t run = 0;
  for (const char* preemption : kPreemptions)
    for (const std::uint32_t blocks : {t.smallest, 2 * t.smallest})
      for (const bool prefix_cache : {true, false})
        for (const std::uint32_t lag : {0u, 1u}) {
          Setting s;
          s.scheduler = kSchedulers[++run % kSchedulers.size()];
          s.eviction = run % 2 == 0 ? "lru" : "slru";
          s.preemption = preemption;
          s.blocks = blocks;
          s.prefix_cache = prefix_cache;
          s.token_budget = 64;
          s.lag = lag;
          check(s, t);
        }
}

// Whoever leaves the cache.
BOOST_AUTO_TEST_CASE(every_eviction_policy) {
  std::uint64_t run = 0;
  for (const char* eviction : kEvictions)
    for (const std::uint32_t pool : {1u, 2u, 0u})  // times the smallest; 0: roomy
      for (const std::uint32_t lag : {0u, 1u})
        for (const bool swaps : {false, true}) {
          const Traffic& t = traffic(pool == 0);
          Setting s;
          s.scheduler = kSchedulers[++run % kSchedulers.size()];
          s.eviction = eviction;
          s.blocks = pool == 0 ? kRoomy : pool * t.smallest;
          s.token_budget = 64;
          s.lag = lag;
          if (swaps) s.swaps = random_swaps(run);
          check(s, t);
        }
}

BOOST_AUTO_TEST_CASE(behind_a_token_bucket) {
  const Traffic& t = traffic(false);
  for (const char* preemption : {"cost", "swap"})
    for (const std::uint32_t lag : {0u, 1u}) {
      Setting s;
      s.gates = {{"token-bucket", toml::Table{{"rate", 20000}, {"burst", 400}}}};
      s.preemption = preemption;
      s.blocks = 2 * t.smallest;
      s.token_budget = 64;
      s.lag = lag;
      check(s, t);
    }
}

// Who is let in gets its own tokens, who is refused none, with all its forks.
BOOST_AUTO_TEST_CASE(behind_a_gate_that_sheds) {
  const Traffic& t = traffic(false);
  std::uint64_t preemptions = 0;
  for (const char* scheduler : {"fcfs", "priority", "sarathi"})
    for (const bool by_priority : {true, false})
      for (const std::uint32_t lag : {0u, 1u}) {
        Setting s;
        s.scheduler = scheduler;
        s.gates = {{"shed", toml::Table{{"max_wait_ms", 15},
                                        {"order", by_priority ? "priority" : "arrival"},
                                        {"deadlines", by_priority}}}};
        s.preemption = lag == 0 ? "cost" : "swap";
        s.blocks = 2 * t.smallest;
        s.token_budget = 64;
        s.lag = lag;
        BOOST_TEST_CONTEXT(s.name() << ", by priority " << by_priority) {
          World world(s, t.asks);
          world.run();
          check_ends(world, t.reference);
          check_idle(world);
          std::map<std::uint64_t, std::uint32_t> refused;  // sequences, by request
          std::uint64_t completed = 0;
          for (const engine::Finished& end : world.ends()) {
            if (end.finish != SL_FINISH_REJECTED) {
              ++completed;
              continue;
            }
            ++refused[end.request];
            BOOST_REQUIRE_EQUAL(end.output_tokens, 0u);
          }
          for (const auto& [request, sequences] : refused)
            BOOST_REQUIRE_EQUAL(sequences, t.asks[world.ask_of(request)].spec.n);
          BOOST_CHECK_GE(refused.size(), kAtLeast);
          BOOST_CHECK_GE(completed, kAtLeast);
          preemptions += world.counters().preemptions;
          BOOST_CHECK(world.counters().fallbacks.empty());
        }
      }
  BOOST_CHECK_GE(preemptions, 10 * kAtLeast);
}

BOOST_AUTO_TEST_CASE(the_linked_in_policies_alone) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t blocks : {traffic(false).smallest, kRoomy}) {
      Setting s;
      s.scheduler = s.eviction = s.preemption = "";
      s.blocks = blocks;
      s.lag = lag;
      World world(s, traffic(false).asks);
      world.run();
      check_law_1(world, traffic(false).asks, traffic(false).reference);
      BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
