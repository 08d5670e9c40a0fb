// Who yields, how, and who is left alone: the preemption policies on candidates made by hand.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"
#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint16_t kOwn = SL_REASON_PLUGIN;
constexpr const char* kAll[] = {"least-progress", "most-blocks", "swap", "cost"};

std::uint16_t nobody_else(const std::string& plugin) {
  return static_cast<std::uint16_t>(SL_REASON_PLUGIN + (plugin == "cost" ? 3 : 1));
}

// Running sequences of 10 blocks, full of tokens with KV; all they have frees `frees`.
class Shortage {
 public:
  explicit Shortage(const std::string& plugin, toml::Value options = toml::Table{})
      : tables(limits_), policy_(need(build_host().load_preemption({plugin, std::move(options)}, limits_))) {}

  sl_candidate& add(std::uint32_t frees, std::uint32_t generated = 0, std::uint32_t rank = UINT32_MAX - 1) {
    sl_seq_row& row = tables.add(SL_RUNNING);
    row.blocks_device = 10;
    row.computed = 160;
    row.generated = generated;
    sl_candidate c{};
    c.seq = row.id;
    c.frees = frees;
    c.recompute_tokens = 160;
    c.plan_rank = rank == UINT32_MAX - 1 ? static_cast<std::uint32_t>(candidates.size()) : rank;
    c.can = SL_CAN_RECOMPUTE | SL_CAN_KEEP;
    c.recompute_ns = 160 * 1000;
    c.swap_ns = 40 * 1000;
    candidates.push_back(c);
    return candidates.back();
  }
  std::vector<sl_yield> ask(std::uint32_t blocks) {
    sl_preempt_in in{&tables.view(), SL_NO_SEQ, table_over(candidates), blocks, 0};
    buffers = {};
    BOOST_REQUIRE_EQUAL(policy_->preempt(in, buffers.out, buffers.gauges), SL_OK);
    return buffers.answer();
  }
  // Slots, in the order in which they yield.
  std::vector<std::uint32_t> who(std::uint32_t blocks) {
    std::vector<std::uint32_t> slots;
    for (const sl_yield& y : ask(blocks)) slots.push_back(SL_SEQ_SLOT(y.seq));
    return slots;
  }
  void note() {
    BOOST_REQUIRE_EQUAL(policy_->note(tables.view()), SL_OK);
    tables.events.clear();
  }
  // It yielded, and was admitted again in step `step`: told in the step after it.
  void comes_back(std::uint32_t slot, std::uint64_t step) {
    ++tables.seqs[slot].preemptions;
    tables.event(SL_EV_PREEMPTED, tables.id(slot));
    tables.event(SL_EV_ADMITTED, tables.id(slot));
    tables.raw().step = step + 1;
    note();
  }

 private:
  policy::Limits limits_ = limits();

 public:
  Tables tables;
  std::vector<sl_candidate> candidates;
  Buffers<sl_yield> buffers;

 private:
  std::shared_ptr<policy::Preemption> policy_;
};

using Slots = std::vector<std::uint32_t>;

toml::Table hysteresis(std::int64_t steps, std::int64_t tokens) {
  return {{"hysteresis_steps", steps}, {"hysteresis_tokens", tokens}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(yielding)

BOOST_AUTO_TEST_CASE(least_progress_goes_by_output_tokens_and_then_by_rank) {
  Shortage s("least-progress");
  for (const std::uint32_t generated : {9, 3, 3, 7}) s.add(2, generated);
  s.add(2, 3, SL_NONE);  // not in the plan
  s.tables.seqs[0].computed = 10;
  BOOST_TEST(s.who(1) == Slots{4});
  BOOST_TEST(s.who(3) == (Slots{4, 2}));
  BOOST_TEST(s.who(7) == (Slots{4, 2, 1, 3}));
  BOOST_TEST(s.who(100) == (Slots{4, 2, 1, 3, 0}));
  for (const sl_yield& y : s.ask(100)) {
    BOOST_TEST(y.mode == SL_YIELD_RECOMPUTE);
    BOOST_TEST(y.reason == kOwn);
  }
}

BOOST_AUTO_TEST_CASE(least_progress_by_computed_tokens) {
  Shortage s("least-progress", toml::Table{{"progress", "computed"}});
  for (const std::uint32_t generated : {1, 2, 3}) s.add(2, generated);
  s.tables.seqs[1].computed = 100;
  s.tables.seqs[2].computed = 90;
  s.tables.seqs[2].in_flight_max = 20;  // it will have 110
  BOOST_TEST(s.who(6) == (Slots{1, 2, 0}));
}

BOOST_AUTO_TEST_CASE(most_blocks_goes_by_what_is_freed_and_then_by_rank) {
  Shortage s("most-blocks");
  for (const std::uint32_t frees : {3, 9, 9, 4}) s.add(frees);
  BOOST_TEST(s.who(1) == Slots{2});
  BOOST_TEST(s.who(9) == Slots{2});
  BOOST_TEST(s.who(10) == (Slots{2, 1}));
  BOOST_TEST(s.who(20) == (Slots{2, 1, 3}));
  BOOST_TEST(s.ask(1).front().reason == kOwn);
}

// Against every subset of the candidates.
BOOST_AUTO_TEST_CASE(most_blocks_needs_the_fewest) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Shortage s("most-blocks");
    std::uint32_t total = 0;
    for (std::uint64_t i = 0; i < 7; ++i)
      total += s.add(static_cast<std::uint32_t>(1 + mix(seed, i) % 12)).frees;
    const auto blocks = static_cast<std::uint32_t>(1 + mix(seed, 99) % total);
    std::size_t fewest = 7;
    for (std::uint32_t subset = 1; subset < 128; ++subset) {
      std::uint32_t freed = 0;
      for (std::uint32_t i = 0; i < 7; ++i) freed += (subset >> i & 1) != 0 ? s.candidates[i].frees : 0;
      if (freed >= blocks)
        fewest = std::min<std::size_t>(fewest, static_cast<std::size_t>(__builtin_popcount(subset)));
    }
    BOOST_TEST(s.ask(blocks).size() == fewest);
  }
}

BOOST_AUTO_TEST_CASE(swap_takes_the_last_in_rank_to_the_host_where_it_can) {
  Shortage s("swap");
  for (int i = 0; i < 4; ++i) s.add(3);
  s.candidates[3].can |= SL_CAN_SWAP;
  s.candidates[1].can |= SL_CAN_SWAP;
  const std::vector<sl_yield> yields = s.ask(7);
  BOOST_REQUIRE_EQUAL(yields.size(), 3u);
  for (const std::size_t i : {0u, 1u, 2u}) {
    BOOST_TEST(SL_SEQ_SLOT(yields[i].seq) == 3 - i);
    BOOST_TEST(yields[i].mode == (i == 1 ? SL_YIELD_RECOMPUTE : SL_YIELD_SWAP));
    BOOST_TEST(yields[i].reason == kOwn + (i == 1 ? 2 : 0));  // cannot_swap
  }
}

BOOST_AUTO_TEST_CASE(cost_takes_the_cheaper_on_both_sides_of_the_crossover) {
  for (const std::uint64_t swap_ns : {159999u, 160000u, 160001u})
    for (const bool can_swap : {true, false}) {
      Shortage s("cost");
      s.add(10), s.add(10);
      for (sl_candidate& c : s.candidates) {
        c.swap_ns = swap_ns;
        if (can_swap) c.can |= SL_CAN_SWAP;
      }
      const std::vector<sl_yield> yields = s.ask(10);
      BOOST_REQUIRE_EQUAL(yields.size(), 1u);
      const bool swaps = can_swap && swap_ns < 160000;
      BOOST_TEST(SL_SEQ_SLOT(yields[0].seq) == 1u);
      BOOST_TEST(yields[0].mode == (swaps ? SL_YIELD_SWAP : SL_YIELD_RECOMPUTE));
      BOOST_TEST(yields[0].reason == kOwn + (swaps ? 1 : 0));
      BOOST_TEST(s.buffers.gauge(1) == static_cast<double>(swaps ? swap_ns : 160000));
    }
}

// 10 blocks of 16 tokens, 160 known: to free 3 it keeps 7, and computes 48 tokens again.
BOOST_AUTO_TEST_CASE(cost_keeps_the_first_blocks_where_only_a_part_is_needed) {
  Shortage s("cost");
  s.add(8), s.add(8);
  s.candidates[0].can |= SL_CAN_SWAP, s.candidates[1].can |= SL_CAN_SWAP;
  std::vector<sl_yield> yields = s.ask(3);
  BOOST_REQUIRE_EQUAL(yields.size(), 1u);
  s.candidates[1].swap_ns = 49000;  // dearer than 48 tokens
  yields = s.ask(3);
  BOOST_TEST(yields[0].mode == SL_YIELD_KEEP);
  BOOST_TEST(yields[0].keep_blocks == 7u);
  BOOST_TEST(yields[0].reason == kOwn + 2);
  BOOST_TEST(s.buffers.gauge(1) == 48000.0);
  s.candidates[1].swap_ns = 47000;
  BOOST_TEST(s.ask(3)[0].mode == SL_YIELD_SWAP);

  // All that it frees is needed: there is no part to keep.
  s.candidates[1].swap_ns = 1000000;
  BOOST_TEST(s.ask(8)[0].mode == SL_YIELD_RECOMPUTE);

  // The last one frees all it can, the one before it the rest.
  s.candidates[0].swap_ns = s.candidates[1].swap_ns = 1000000;
  yields = s.ask(10);
  BOOST_REQUIRE_EQUAL(yields.size(), 2u);
  BOOST_TEST(yields[0].mode == SL_YIELD_RECOMPUTE);
  BOOST_TEST(yields[1].mode == SL_YIELD_KEEP);
  BOOST_TEST(yields[1].keep_blocks == 8u);

  // Only whole blocks with KV, or soon with it, can be kept.
  s.tables.seqs[1].computed = 70;
  s.tables.seqs[1].in_flight_max = 10;
  BOOST_TEST(s.ask(3)[0].keep_blocks == 5u);
  s.candidates[1].can &= ~SL_CAN_KEEP;
  BOOST_TEST(s.ask(3)[0].mode == SL_YIELD_RECOMPUTE);
}

BOOST_AUTO_TEST_CASE(cost_without_keep) {
  Shortage s("cost", toml::Table{{"keep", false}});
  s.add(8);
  BOOST_TEST(s.ask(3)[0].mode == SL_YIELD_RECOMPUTE);
}

BOOST_AUTO_TEST_CASE(cost_by_the_cheapest_victim) {
  Shortage s("cost", toml::Table{{"victims", "cheapest"}, {"keep", false}});
  for (int i = 0; i < 4; ++i) s.add(4);
  s.candidates[1].recompute_ns = 90000;   // 4 of 4 blocks: 22500 each
  s.candidates[2].recompute_ns = 100000;  // 10 blocks, of which 4 are needed: 25000 each
  s.candidates[2].frees = 10;
  BOOST_TEST(s.who(4) == Slots{1});
  s.candidates[1].recompute_ns = 110000;  // 27500 each
  BOOST_TEST(s.who(4) == Slots{2});
  BOOST_TEST(s.who(12) == (Slots{2, 1}));
  s.candidates[1].recompute_ns = 60000;  // less in all, but for 2 blocks: 30000 each
  s.candidates[1].frees = 2;
  BOOST_TEST(s.who(4) == Slots{2});
}

BOOST_AUTO_TEST_CASE(one_that_came_back_is_spared_for_so_many_steps) {
  for (const char* plugin : kAll) BOOST_TEST_CONTEXT(plugin) {
      Shortage s(plugin, hysteresis(5, 1000));
      for (int i = 0; i < 3; ++i) s.add(4);
      BOOST_TEST(s.who(4) == Slots{2});
      s.comes_back(2, 100);
      for (std::uint64_t step = 101; step <= 104; ++step) {  // it ran in 1 to 4 of them
        s.tables.raw().step = step;
        BOOST_TEST(s.who(4) == Slots{1});
        BOOST_TEST(s.buffers.gauge(0) == 1.0);
      }
      s.tables.raw().step = 105;
      BOOST_TEST(s.who(4) == Slots{2});
      BOOST_TEST(s.buffers.gauge(0) == 0.0);
    }
}

BOOST_AUTO_TEST_CASE(one_that_came_back_is_spared_until_it_gained_so_many_tokens) {
  for (const char* plugin : kAll) BOOST_TEST_CONTEXT(plugin) {
      Shortage s(plugin, hysteresis(1000, 3));
      for (int i = 0; i < 3; ++i) s.add(4, 20);
      s.tables.seqs[2].generated = 7;
      s.comes_back(2, 100);
      for (const std::uint32_t generated : {7, 8, 9}) {
        s.tables.seqs[2].generated = generated;
        BOOST_TEST(s.who(4) == Slots{1});
      }
      s.tables.seqs[2].generated = 10;
      BOOST_TEST(s.who(4) == Slots{2});
    }
}

BOOST_AUTO_TEST_CASE(spared_ones_yield_where_nobody_else_can) {
  for (const char* plugin : kAll) BOOST_TEST_CONTEXT(plugin) {
      Shortage s(plugin, hysteresis(5, 1000));
      for (int i = 0; i < 3; ++i) s.add(4);
      s.comes_back(2, 100);
      s.comes_back(1, 100);
      const std::vector<sl_yield> yields = s.ask(12);
      BOOST_REQUIRE_EQUAL(yields.size(), 3u);
      BOOST_TEST(SL_SEQ_SLOT(yields[0].seq) == 0u);
      BOOST_TEST(yields[0].reason != nobody_else(plugin));
      for (const std::size_t i : {1u, 2u}) {
        BOOST_TEST(SL_SEQ_SLOT(yields[i].seq) == 3 - i);
        if (std::string(plugin) != "swap") BOOST_TEST(yields[i].reason == nobody_else(plugin));
      }
      BOOST_TEST(s.who(4) == Slots{0});
    }
}

BOOST_AUTO_TEST_CASE(none_is_spared_with_a_hysteresis_of_0) {
  for (const char* plugin : kAll)
    for (const bool steps : {true, false}) BOOST_TEST_CONTEXT(plugin) {
        Shortage s(plugin, hysteresis(steps ? 0 : 9, steps ? 9 : 0));
        for (int i = 0; i < 3; ++i) s.add(4);
        s.comes_back(2, 100);
        BOOST_TEST(s.who(4) == Slots{2});
      }
}

// One that waits and kept its first blocks loses no turn by giving more; a row that another took over is not spared for
// what the one before it did.
BOOST_AUTO_TEST_CASE(only_one_that_runs_again_is_spared) {
  Shortage s("swap", hysteresis(50, 1000));
  for (int i = 0; i < 3; ++i) s.add(4);
  s.comes_back(2, 100);
  BOOST_TEST(s.who(4) == Slots{1});
  s.tables.seqs[2].state = SL_WAITING;
  BOOST_TEST(s.who(4) == Slots{2});
  s.tables.seqs[2].state = SL_RUNNING;
  BOOST_TEST(s.who(4) == Slots{1});
  s.tables.seqs[2].id += std::uint64_t{1} << 32;
  s.candidates[2].seq = s.tables.seqs[2].id;
  BOOST_TEST(s.who(4) == Slots{2});
}

// A successor at a hot swap learns from the events of the handover who runs; what it did before is not told.
BOOST_AUTO_TEST_CASE(after_a_hot_swap_those_that_had_yielded_are_spared_anew) {
  Shortage s("swap", hysteresis(5, 1000));
  for (int i = 0; i < 2; ++i) s.add(4);
  s.tables.seqs[1].preemptions = 1;
  s.tables.event(SL_EV_ARRIVED, s.tables.id(1), 0, SL_EVENT_HANDOVER);
  s.tables.event(SL_EV_ADMITTED, s.tables.id(1), 0, SL_EVENT_HANDOVER);
  s.note();
  BOOST_TEST(s.who(4) == Slots{0});
}

// Where nobody frees a block by itself, one yields, and the policy is asked again.
BOOST_AUTO_TEST_CASE(of_those_that_free_nothing_alone_one_yields) {
  for (const char* plugin : kAll) {
    Shortage s(plugin);
    for (int i = 0; i < 3; ++i) s.add(0);
    BOOST_TEST(s.ask(2).size() == 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
