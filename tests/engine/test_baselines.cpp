// What the field measures against, each by what makes it one.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "shipped.hpp"

namespace serveloop::test {

namespace {

// Requests with outputs of many lengths; nobody is cancelled. Every ninth prompt is longer than the token budget.
constexpr std::uint32_t kBudget = 64;
std::vector<Ask> mixed() {
  std::vector<Ask> asks = mixed_asks(150, 23, 60);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    asks[i].cancel_after = 0;
    asks[i].spec.max_tokens = 3 + static_cast<std::uint32_t>(i * 7 % 90);
    if (i % 9 == 4) asks[i].spec.pieces = {{7000 + i, 150}}, asks[i].spec.n = 1;
  }
  return asks;
}

Setting setting(const char* scheduler, std::uint32_t lag) {
  Setting s;
  s.scheduler = scheduler;
  s.blocks = 96;
  s.token_budget = kBudget;
  s.max_sequences = 12;
  s.lag = lag;
  return s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(baselines)

// Where slots and tokens are scarce and memory is not: where it is, the engine may place one that is smaller before the one planned
// for it.
BOOST_AUTO_TEST_CASE(fcfs_admits_in_the_order_of_arrival) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      Setting s = setting("fcfs", lag);
      s.blocks = 1024;
      const std::vector<Ask> asks = mixed();
      World world(s, asks);
      world.run();
      check_idle(world);
      std::uint64_t before_ns = 0, waited = 0;
      for (std::size_t i = 0; i < asks.size(); ++i) {
        const engine::Finished* end = world.end_of(world.id_of(i));
        BOOST_REQUIRE(end != nullptr);
        BOOST_REQUIRE_GE(end->admitted_ns, before_ns);
        before_ns = end->admitted_ns;
        waited += end->admitted_ns > end->arrival_ns + 10'000'000 ? 1 : 0;
      }
      BOOST_TEST(waited >= 50u);
      BOOST_TEST(world.counters().preemptions == 0u);
      BOOST_TEST(world.counters().fallbacks.empty());
    }
}

BOOST_AUTO_TEST_CASE(static_admits_nobody_while_another_runs) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      World world(setting("static", lag), mixed());
      std::uint64_t admitted = 0, batches = 0, largest = 0;
      for (bool more = true; more;) {
        const std::uint32_t running = world.engine().requests().running_count();
        more = world.one_step();
        const std::uint64_t now = decided(world.engine(), "admit");
        if (now > admitted) {
          BOOST_REQUIRE_EQUAL(running, 0u);
          ++batches;
          largest = std::max(largest, now - admitted);
        }
        admitted = now;
      }
      check_idle(world);
      BOOST_TEST(batches >= 10u);
      BOOST_TEST(largest >= 8u);  // all of a batch in one step
      BOOST_TEST(world.counters().preemptions == 0u);
      BOOST_TEST(world.counters().fallbacks.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_static_batch_has_the_size_that_is_asked_for) {
  Setting s = setting("static", 0);
  s.scheduler_options = toml::Table{{"batch", 3}};
  World world(s, mixed());
  std::uint32_t most = 0;
  while (world.one_step()) most = std::max(most, world.engine().requests().running_count());
  BOOST_TEST(most == 3u);
}

// In a pool in which fcfs preempts again and again.
BOOST_AUTO_TEST_CASE(orca_never_yields_for_memory) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const bool prefix_cache : {true, false})
      BOOST_TEST_CONTEXT("lag " << lag << ", cache " << prefix_cache) {
        std::map<std::string, engine::Counters> ran;
        for (const char* scheduler : {"fcfs", "orca"}) {
          Setting s = setting(scheduler, lag);
          s.prefix_cache = prefix_cache;
          World world(s, mixed());
          world.run();
          check_idle(world);
          BOOST_TEST(world.counters().fallbacks.empty());
          ran[scheduler] = world.counters();
        }
        BOOST_TEST(ran["fcfs"].preemptions >= 30u);
        BOOST_TEST(ran["orca"].preemptions == 0u);
        if (!prefix_cache)
          BOOST_TEST(ran["orca"].recomputed_tokens == 0u);  // nor what others' evictions took
        BOOST_TEST(ran["orca"].fell.empty());               // it looks before it asks
        BOOST_TEST(ran["orca"].output_tokens == ran["fcfs"].output_tokens);
      }
}

// With tokens for the longest prompt beside all decodes no prompt is cut; where one is longer than the budget, it is.
BOOST_AUTO_TEST_CASE(orca_cuts_a_prompt_only_where_it_must) {
  for (const std::uint32_t budget : {kBudget, 150u + 12}) BOOST_TEST_CONTEXT(budget) {
      Setting s = setting("orca", 1);
      s.token_budget = budget;
      World world(s, mixed());
      std::uint64_t chunks = 0, small = 0;
      world.watched_executor().submitted = [&](const execute::Batch& batch) {
        for (const execute::BatchRow& row : batch.rows) {
          chunks += !row.decode && !row.samples ? 1 : 0;
          small += !row.decode && !row.samples && batch.prefill_tokens + batch.decodes < budget ? 1 : 0;
        }
      };
      world.run();
      if (budget == kBudget) {
        BOOST_TEST(chunks >= 16u);
        BOOST_TEST(small == 0u);  // what is cut fills its step
      } else {
        BOOST_TEST(chunks == 0u);
      }
    }
}

// A step has prompts or decodes, and decodes only where no prompt could run.
BOOST_AUTO_TEST_CASE(prefill_first_mixes_nothing) {
  for (const std::uint32_t lag : {0u, 1u}) BOOST_TEST_CONTEXT("lag " << lag) {
      World world(setting("prefill-first", lag), mixed());
      std::uint64_t prompts = 0, decodes = 0, split = 0, preempted = 0;
      world.watched_executor().submitted = [&](const execute::Batch& batch) {
        // The last token of a prompt that was cut costs what a decode costs, and goes with them.
        const bool some = std::any_of(batch.rows.begin(), batch.rows.end(),
                                      [](const execute::BatchRow& row) { return row.tokens > 1; });
        if (some) BOOST_REQUIRE_EQUAL(batch.decodes, 0u);
        // No prompt takes the memory of those who decode; they do so from each other.
        if (some) BOOST_REQUIRE_EQUAL(world.counters().preemptions, preempted);
        preempted = world.counters().preemptions;
        prompts += some ? 1 : 0;
        decodes += batch.decodes > 0 ? 1 : 0;
        for (const execute::BatchRow& row : batch.rows) split += !row.decode && !row.samples ? 1 : 0;
      };
      world.run();
      check_idle(world);
      BOOST_TEST(prompts >= 30u);
      BOOST_TEST(decodes >= 30u);
      BOOST_TEST(split >= 16u);  // longer than the token budget
      BOOST_TEST(world.counters().fallbacks.empty());
      BOOST_TEST(preempted >= 20u);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
