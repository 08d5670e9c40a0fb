// vtc, lpm and dlpm on tables made by hand: who is listed, in which order, and what a tenant is charged.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "policy/host.hpp"
#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr const char* kSchedulers[] = {"vtc", "lpm", "dlpm"};
constexpr std::uint64_t kMs = 1'000'000;
using Plan = std::vector<std::uint32_t>;  // slots, in the plan's order

class Stage {
 public:
  explicit Stage(const char* plugin, toml::Table options = {}, std::uint32_t host_blocks = 0)
      : limits_(limits(1000, host_blocks)), tables(limits_), choice_{plugin, std::move(options)} {
    scheduler_ = need(build_host().load_scheduler(choice_, limits_));
    tables.raw().token_budget = 4096;
    tables.raw().tier[SL_TIER_DEVICE].free = 1000;
  }

  // A prompt of its own below node `under` (0: the root), of 4 blocks and a token.
  std::uint32_t wait(std::uint32_t tenant = 0, std::uint32_t under = 0) {
    sl_seq_row& row = tables.add(SL_WAITING, 65);
    const std::uint32_t slot = SL_SEQ_SLOT(row.id);
    const sl_node_row& above = tables.nodes[under];
    tables.requests[slot].tenant = tenant;
    row.node = node(under, 4 - std::min(4u, above.depth_blocks + above.edge_blocks), 0);
    tables.event(SL_EV_READY, row.id);
    return slot;
  }
  std::uint32_t node(std::uint32_t parent, std::uint32_t blocks, std::uint32_t device) {
    if (blocks == 0) return parent;
    const std::uint32_t depth = tables.nodes[parent].depth_blocks + tables.nodes[parent].edge_blocks;
    tables.nodes.push_back({parent, depth, blocks, device, 0, 0, 1, 1});
    return static_cast<std::uint32_t>(tables.nodes.size() - 1);
  }
  void cache(std::uint32_t node, std::uint32_t device) {
    tables.nodes[node].device_blocks = device;
    tables.events.push_back({SL_EV_NODE_CHANGED, 0, node, 0, 0, 0});
  }
  void admitted(std::uint32_t slot, std::uint64_t hit = 0) {
    tables.seqs[slot].state = SL_RUNNING;
    tables.seqs[slot].runnable = 1;
    tables.cold[slot].admitted_ns = 1;
    tables.event(SL_EV_ADMITTED, tables.id(slot), hit);
  }
  void ended(std::uint32_t slot, std::uint64_t output) {
    tables.seqs[slot].state = SL_ENDED;
    tables.events.push_back({SL_EV_ENDED, 0, SL_NONE, tables.id(slot), SL_FINISH_LENGTH, output});
  }
  // So many may be admitted.
  void free_slots(std::uint32_t slots) {
    tables.view();
    tables.raw().max_sequences = static_cast<std::uint32_t>(tables.running.size()) + slots;
  }
  Plan admits(std::uint16_t verb = SL_ADMIT) {
    entries = plan_of(*scheduler_, tables);
    Plan plan;
    for (const sl_entry& entry : entries)
      if (entry.verb == verb) plan.push_back(SL_SEQ_SLOT(entry.seq));
    return plan;
  }
  void swap_for_another() {
    const auto next = need(build_host().load_scheduler(choice_, limits_));
    BOOST_REQUIRE(need(policy::hand_over_state(*scheduler_, *next)));
    scheduler_ = next;
  }

 private:
  policy::Limits limits_;

 public:
  Tables tables;
  std::vector<sl_entry> entries;

 private:
  policy::Choice choice_;
  std::shared_ptr<policy::Scheduler> scheduler_;
};

void check_plan(const Plan& found, const Plan& want) {
  BOOST_TEST(found == want, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(turns)

// Who ran before precedes all others, by arrival, also where its blocks come from host memory.
BOOST_AUTO_TEST_CASE(who_ran_before_comes_first) {
  for (const char* plugin : kSchedulers) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin, {}, 100);
      const std::uint32_t fresh = s.wait(), preempted = s.wait(), swapped = s.wait(), late = s.wait();
      s.tables.seqs[preempted].preemptions = 1;
      s.tables.seqs[swapped].state = SL_SWAPPED;
      s.tables.seqs[swapped].preemptions = 1;
      s.tables.seqs[swapped].blocks_host = 2;
      s.tables.event(SL_EV_PREEMPTED, s.tables.id(swapped));
      s.free_slots(3);
      check_plan(s.admits(), {preempted, fresh});
      s.admits(SL_SWAP_IN);
      check_plan(s.admits(SL_SWAP_IN), {swapped});
      s.free_slots(4);
      check_plan(s.admits(), {preempted, fresh, late});
    }
}

// One that was fetched for and yields those blocks while it waits has been preempted, though it never ran: it is not listed twice.
BOOST_AUTO_TEST_CASE(one_that_yields_while_it_waits_is_listed_once) {
  for (const char* plugin : kSchedulers) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin);
      const std::uint32_t other = s.wait(), yields = s.wait();
      s.free_slots(0);
      check_plan(s.admits(), {});
      s.tables.seqs[yields].preemptions = 1;
      s.tables.event(SL_EV_PREEMPTED, s.tables.id(yields));
      s.free_slots(8);
      check_plan(s.admits(), {yields, other});
    }
}

BOOST_AUTO_TEST_CASE(those_next_in_turn_are_fetched_ahead) {
  for (const char* plugin : kSchedulers) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin, {}, 100);
      for (int i = 0; i < 6; ++i) s.tables.nodes[s.tables.seqs[s.wait()].node].host_blocks = 4;
      s.free_slots(0);
      check_plan(s.admits(SL_PREFETCH), {0, 1, 2, 3});
      Stage none(plugin);
      for (int i = 0; i < 6; ++i) none.tables.nodes[none.tables.seqs[none.wait()].node].host_blocks = 4;
      none.free_slots(0);
      check_plan(none.admits(SL_PREFETCH), {});
    }
}

BOOST_AUTO_TEST_CASE(the_list_ends_with_slots_and_tokens) {
  for (const char* plugin : kSchedulers) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin);
      for (int i = 0; i < 6; ++i) s.wait();
      s.free_slots(2);
      check_plan(s.admits(), {0, 1});
      s.free_slots(6);
      s.tables.raw().token_budget = 150;
      check_plan(s.admits(), {0, 1, 2});
      BOOST_TEST(s.entries.back().tokens == 20u);
    }
}

BOOST_AUTO_TEST_CASE(whoever_waited_for_half_of_the_bound_goes_first) {
  for (const char* plugin : {"lpm", "dlpm"}) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin, {{"max_wait_ms", 20}});
      const std::uint32_t shared = s.node(0, 2, 2);
      const std::uint32_t cold = s.wait(), colder = s.wait(), hot = s.wait(0, shared);
      s.tables.cold[colder].ready_ns = 5 * kMs;
      s.free_slots(1);
      check_plan(s.admits(), {hot});
      s.tables.raw().now_ns = 10 * kMs - 1;
      check_plan(s.admits(), {hot});
      s.tables.raw().now_ns = 10 * kMs;
      check_plan(s.admits(), {cold});
      s.tables.event(SL_EV_READY, s.tables.id(cold));  // told twice
      s.free_slots(3);
      check_plan(s.admits(), {cold, hot, colder});
      s.tables.raw().now_ns = 15 * kMs;
      check_plan(s.admits(), {cold, colder, hot});
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(vtc)

BOOST_AUTO_TEST_CASE(the_tenant_served_least_is_next) {
  Stage s("vtc");
  for (const std::uint32_t tenant : {1u, 1u, 1u, 2u, 2u, 3u}) s.wait(tenant);
  s.free_slots(5);
  check_plan(s.admits(), {0, 3, 5, 1, 4});
  s.admitted(0), s.admitted(3), s.admitted(5);
  s.free_slots(1);
  check_plan(s.admits(), {1});
  s.tables.seqs[0].generated = 2;
  check_plan(s.admits(), {4});
  s.ended(3, 3);  // it had more than the first tenant's
  s.free_slots(1);
  check_plan(s.admits(), {1});
}

BOOST_AUTO_TEST_CASE(by_weight) {
  Stage s("vtc");
  for (const std::uint32_t tenant : {1u, 1u, 1u, 1u, 2u, 2u})
    s.tables.requests[s.wait(tenant)].tenant_weight_milli = tenant == 1 ? 3000 : 1000;
  s.free_slots(6);
  check_plan(s.admits(), {0, 4, 1, 2, 3, 5});
}

// Who had nobody waiting starts at the smallest counter of those who have; where nobody waits, at the counter of who did last.
BOOST_AUTO_TEST_CASE(a_pause_earns_no_credit) {
  Stage s("vtc");
  s.wait(1), s.wait(1), s.wait(1);
  s.free_slots(2);
  s.admits();
  s.admitted(0), s.admitted(1);
  s.admits();
  s.wait(2), s.wait(2);
  s.free_slots(3);
  check_plan(s.admits(), {2, 3, 4});  // were it at 0, both of the second tenant would go before the first's
  s.admitted(2), s.admitted(3), s.admitted(4);
  s.admits();
  s.wait(3), s.wait(2), s.wait(1);  // the second left last, at four prompts; the first stands at three
  s.free_slots(2);
  check_plan(s.admits(), {7, 6});  // at equal counters the first tenant
}

BOOST_AUTO_TEST_CASE(cached_tokens_are_charged_or_not) {
  for (const bool charged : {true, false}) BOOST_TEST_CONTEXT(charged) {
      Stage s("vtc", {{"charge_cached", charged}});
      for (const std::uint32_t tenant : {1u, 2u, 1u, 2u}) s.wait(tenant);
      s.free_slots(2);
      check_plan(s.admits(), {0, 1});
      s.admitted(0, 0), s.admitted(1, 32);
      s.free_slots(1);
      check_plan(s.admits(), {charged ? 2u : 3u});
    }
}

// Counters, who waits, and what of the running ones was charged.
BOOST_AUTO_TEST_CASE(what_it_knows_outlives_it) {
  Stage s("vtc");
  for (const std::uint32_t tenant : {1u, 2u, 1u, 2u, 1u}) s.wait(tenant);
  s.free_slots(2);
  check_plan(s.admits(), {0, 1});
  s.admitted(0), s.admitted(1);
  s.tables.seqs[1].generated = 9;
  s.free_slots(1);
  check_plan(s.admits(), {2});
  s.swap_for_another();
  check_plan(s.admits(), {2});  // and what is charged twice would turn it
  s.tables.seqs[0].generated = 10;
  check_plan(s.admits(), {3});
  s.free_slots(9);
  check_plan(s.admits(), {3, 2, 4});
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(longest_prefix)

BOOST_AUTO_TEST_CASE(the_longest_hit_is_next) {
  for (const char* plugin : {"lpm", "dlpm"}) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin, {{"defer", false}});
      const std::uint32_t one = s.node(0, 1, 0), three = s.node(0, 3, 0);
      s.wait(), s.wait(0, one), s.wait(0, three), s.wait(0, three);
      s.free_slots(4);
      check_plan(s.admits(), {0, 1, 2, 3});
      s.cache(one, 1);
      check_plan(s.admits(), {1, 0, 2, 3});
      s.cache(three, 3);
      check_plan(s.admits(), {2, 3, 1, 0});
      s.cache(one, 0), s.cache(three, 1);
      check_plan(s.admits(), {2, 3, 0, 1});
    }
}

// What several share is computed by the first of them; others pass, and they follow once it is there.
BOOST_AUTO_TEST_CASE(a_prefix_being_computed_is_waited_for) {
  for (const char* plugin : {"lpm", "dlpm"}) BOOST_TEST_CONTEXT(plugin) {
      Stage s(plugin);
      const std::uint32_t shared = s.node(0, 3, 0);
      s.wait(0, shared), s.wait(0, shared), s.wait(0, shared), s.wait();
      s.free_slots(4);
      check_plan(s.admits(), {0, 3});
      s.admitted(0);
      s.tables.seqs[0].runnable = 40;  // of its prompt
      s.cache(shared, 1);
      s.free_slots(4);
      check_plan(s.admits(), {3});
      s.cache(shared, 3);
      check_plan(s.admits(), {1, 2, 3});
      Stage at_once(plugin, {{"defer", false}});
      const std::uint32_t same = at_once.node(0, 3, 0);
      at_once.wait(0, same), at_once.wait(0, same);
      check_plan(at_once.admits(), {0, 1});
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(dlpm)

// A prompt has 65 tokens: after one of them a tenant's quantum of 60 is used up.
BOOST_AUTO_TEST_CASE(who_has_used_up_its_quantum_waits_for_the_others) {
  Stage s("dlpm", {{"quantum", 60}, {"defer", false}});
  const std::uint32_t cached = s.node(0, 3, 3);
  s.wait(1, cached), s.wait(1, cached), s.wait(1, cached), s.wait(1, cached),
      s.wait(1, cached);  // 17 tokens each
  s.wait(2), s.wait(2);
  s.free_slots(7);
  check_plan(s.admits(), {0, 1, 2, 3, 5, 4, 6});
}

// What fell was not served: it is not charged, and no quantum comes for it.
BOOST_AUTO_TEST_CASE(who_fell_is_not_charged) {
  Stage s("dlpm", {{"quantum", 60}, {"defer", false}});
  s.wait(1), s.wait(1), s.wait(2), s.wait(2);
  s.free_slots(4);
  for (int i = 0; i < 5; ++i) check_plan(s.admits(), {0, 2, 1, 3});
  s.admitted(0);
  s.free_slots(2);
  check_plan(s.admits(), {2, 1});
}

BOOST_AUTO_TEST_CASE(what_it_knows_outlives_it) {
  Stage s("dlpm", {{"quantum", 1000}, {"defer", false}});
  for (const std::uint32_t tenant : {1u, 1u, 2u, 2u}) s.wait(tenant);
  s.free_slots(1);
  check_plan(s.admits(), {0});
  s.admitted(0);
  s.tables.seqs[0].generated = 500;
  s.free_slots(1);
  check_plan(s.admits(), {2});
  s.swap_for_another();
  check_plan(s.admits(), {2});
  s.free_slots(3);
  check_plan(s.admits(), {2, 3, 1});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
