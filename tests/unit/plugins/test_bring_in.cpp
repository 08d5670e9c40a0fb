// The way back from the host tier: what fcfs, sarathi and priority do with swapped sequences and host-cached prefixes, and
// that they do nothing else where there are none.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "base/hash.hpp"
#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr const char* kSchedulers[] = {"fcfs", "sarathi", "priority"};

class Stage {
 public:
  explicit Stage(const char* plugin, std::uint32_t host_blocks = 100)
      : limits_(limits(100, host_blocks)),
        tables(limits_),
        scheduler_(need(build_host().load_scheduler({plugin}, limits_))) {
    tables.raw().tier[SL_TIER_DEVICE].free = 20;
    tables.raw().tier[SL_TIER_DEVICE].evictable = 20;
  }

  std::uint32_t run() { return SL_SEQ_SLOT(tables.add(SL_RUNNING).id); }
  std::uint32_t wait() {
    const sl_seq id = tables.add(SL_WAITING).id;
    tables.event(SL_EV_READY, id);
    return SL_SEQ_SLOT(id);
  }
  std::uint32_t swapped(std::uint32_t blocks, std::uint16_t told = SL_EV_PREEMPTED) {
    sl_seq_row& row = tables.add(SL_SWAPPED);
    row.blocks_host = blocks;
    row.preemptions = 1;
    tables.event(told, row.id, 0, told == SL_EV_ARRIVED ? SL_EVENT_HANDOVER : 0);
    return SL_SEQ_SLOT(row.id);
  }
  void arrives(std::uint32_t slot) {
    tables.seqs[slot].state = SL_RESERVED;
    tables.seqs[slot].not_ready = SL_NOT_READY_TRANSFER;
    tables.event(SL_EV_IN_TRANSIT, tables.id(slot));
  }
  void runs(std::uint32_t slot) {
    tables.seqs[slot].state = SL_RUNNING;
    tables.seqs[slot].not_ready = 0;
    tables.event(SL_EV_ADMITTED, tables.id(slot));
  }
  // Whole blocks of a waiting one's prompt that are cached, a node of its own.
  void cached(std::uint32_t slot, std::uint32_t device, std::uint32_t host) {
    tables.seqs[slot].node = static_cast<std::uint32_t>(tables.nodes.size());
    tables.nodes.push_back({0, 0, device + host, device, host, 0, 1, 1});
  }
  // "admit 3", in the plan's order; what runs is left out.
  std::vector<std::string> plan() {
    entries = plan_of(*scheduler_, tables);
    std::vector<std::string> out;
    for (const sl_entry& entry : entries) {
      const std::uint32_t slot = SL_SEQ_SLOT(entry.seq);
      if (entry.verb == SL_ADMIT) out.push_back(fmt::format("admit {}", slot));
      if (entry.verb == SL_SWAP_IN) out.push_back(fmt::format("swap in {}", slot));
      if (entry.verb == SL_PREFETCH) out.push_back(fmt::format("prefetch {}", slot));
      if (entry.verb == SL_PREEMPT) out.push_back(fmt::format("preempt {}", slot));
    }
    return out;
  }

 private:
  policy::Limits limits_;

 public:
  Tables tables;
  std::vector<sl_entry> entries;

 private:
  std::shared_ptr<policy::Scheduler> scheduler_;
};

using Plan = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(bring_in)

BOOST_AUTO_TEST_CASE(swapped_ones_come_back_in_their_turn) {
  for (const char* plugin : kSchedulers)
    for (const std::uint16_t told : {SL_EV_PREEMPTED, SL_EV_ARRIVED, SL_EV_RESUMED, SL_EV_TRANSFERRED})
      BOOST_TEST_CONTEXT(plugin << " told by " << told) {
        Stage s(plugin);
        s.run(), s.wait(), s.swapped(5, told), s.wait(), s.swapped(5, told);
        const Plan want{"admit 1", "swap in 2", "admit 3", "swap in 4"};
        BOOST_TEST(s.plan() == want, boost::test_tools::per_element());
        s.arrives(2);
        s.tables.seqs[4].state = SL_ENDED;
        s.tables.event(SL_EV_ENDED, s.tables.id(4));
        for (const std::uint32_t slot : {1u, 3u}) {
          s.tables.seqs[slot].state = SL_RUNNING;
          s.tables.event(SL_EV_ADMITTED, s.tables.id(slot));
        }
        BOOST_TEST(s.plan() == Plan{});
        s.tables.seqs[2].not_ready = 0;
        s.tables.event(told == SL_EV_TRANSFERRED ? SL_EV_TRANSFERRED : SL_EV_READY, s.tables.id(2));
        BOOST_TEST(s.plan() == Plan{"admit 2"});
      }
}

BOOST_AUTO_TEST_CASE(one_whose_copies_out_are_pending_keeps_its_turn) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    s.run(), s.swapped(5), s.swapped(5), s.wait();
    s.tables.seqs[1].not_ready = SL_NOT_READY_TRANSFER;
    BOOST_TEST(s.plan() == (Plan{"swap in 2", "admit 3"}), boost::test_tools::per_element());
    s.tables.seqs[1].not_ready = 0;
    s.tables.seqs[2].state = SL_RUNNING;
    BOOST_TEST(s.plan() == (Plan{"swap in 1", "admit 3"}), boost::test_tools::per_element());
    Stage full(plugin);  // what it leaves behind is not for who comes after it
    full.run(), full.swapped(41), full.swapped(5), full.wait();
    full.tables.seqs[1].not_ready = SL_NOT_READY_TRANSFER;
    BOOST_TEST(full.plan() == Plan{}, boost::test_tools::per_element());
    Stage parked(plugin);  // a gate holds it: it has no turn
    parked.run(), parked.swapped(41), parked.wait();
    parked.tables.seqs[1].not_ready = SL_NOT_READY_GATE;
    BOOST_TEST(parked.plan() == Plan{"admit 2"}, boost::test_tools::per_element());
  }
}

// 40 blocks can be had. While who precedes it runs, it is waited for; nobody behind it takes what comes free.
BOOST_AUTO_TEST_CASE(one_that_does_not_fit_is_waited_for) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    s.run(), s.wait(), s.swapped(30), s.swapped(11), s.wait();
    BOOST_TEST(s.plan() == (Plan{"admit 1", "swap in 2"}), boost::test_tools::per_element());
    s.tables.seqs[0].state = SL_ENDED;  // one is to run
    s.tables.event(SL_EV_ENDED, s.tables.id(0));
    BOOST_TEST(s.plan() == (Plan{"admit 1", "swap in 2"}), boost::test_tools::per_element());
    Stage alone(plugin);  // nothing else would run
    alone.swapped(41), alone.swapped(3), alone.wait();
    BOOST_TEST(alone.plan() == Plan{"swap in 0"});
  }
}

// Who came later does not take its slot, neither in the plan that asks it back nor while its blocks are on their way.
BOOST_AUTO_TEST_CASE(one_that_comes_back_will_need_a_slot) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    for (std::uint32_t i = 0; i < 6; ++i) s.runs(s.run());
    s.swapped(3), s.wait(), s.wait();
    BOOST_TEST(s.plan() == (Plan{"swap in 6", "admit 7"}), boost::test_tools::per_element());
    s.arrives(6), s.runs(7);
    BOOST_TEST(s.plan() == Plan{}, boost::test_tools::per_element());
    s.tables.seqs[6].not_ready = 0;
    s.tables.event(SL_EV_TRANSFERRED, s.tables.id(6));
    BOOST_TEST(s.plan() == Plan{"admit 6"}, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(one_whose_prefix_is_fetched_will_need_a_slot) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    for (std::uint32_t i = 0; i < 6; ++i) s.runs(s.run());
    const std::uint32_t first = s.wait();
    s.wait(), s.wait();
    s.tables.seqs[first].runnable = s.tables.requests[first].prompt_tokens = 80;
    s.cached(first, 1, 2);
    BOOST_TEST(s.plan() == (Plan{"prefetch 6", "admit 7"}), boost::test_tools::per_element());
    s.arrives(6), s.runs(7);
    BOOST_TEST(s.plan() == Plan{}, boost::test_tools::per_element());
    s.tables.seqs[6].state = SL_PAUSED;  // its client holds it up: it has no turn
    s.tables.event(SL_EV_PAUSED, s.tables.id(6));
    BOOST_TEST(s.plan() == Plan{"admit 8"}, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(priority_brings_back_by_rank) {
  Stage s("priority");
  const std::uint32_t low = s.swapped(3), middle = s.wait(), high = s.swapped(3);
  s.tables.requests[low].priority = 1;
  s.tables.requests[middle].priority = 2;
  s.tables.requests[high].priority = 3;
  BOOST_TEST(s.plan() == (Plan{"swap in 2", "admit 1", "swap in 0"}), boost::test_tools::per_element());
  for (std::uint32_t i = 0; i < 8; ++i) {  // a running one before it, and every slot taken
    const std::uint32_t slot = s.run();
    s.tables.requests[slot].priority = i < 4 ? 5 : 1;
    s.tables.event(SL_EV_ADMITTED, s.tables.id(slot));
  }
  // The lowest, which outranks nobody who has a slot, would hold its blocks in vain.
  BOOST_TEST(s.plan() == (Plan{"swap in 2", "preempt 10", "admit 1"}), boost::test_tools::per_element());
  BOOST_TEST(SL_SEQ_SLOT(s.entries[4].seq) == high);  // behind the four that outrank it
}

// 40 blocks can be had; those of who ranks lower and runs are to be had by its yielding.
BOOST_AUTO_TEST_CASE(who_ranks_lower_yields_to_a_swapped_one) {
  Stage s("priority");
  const std::uint32_t above = s.run(), swapped = s.swapped(41), below = s.run(), waits = s.wait();
  for (const std::uint32_t slot : {above, below}) s.tables.event(SL_EV_ADMITTED, s.tables.id(slot));
  s.tables.requests[above].priority = 3;
  s.tables.requests[swapped].priority = 2;
  s.tables.requests[waits].priority = 1;
  BOOST_TEST(s.plan() == Plan{"swap in 1"}, boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(s.entries.size() == 3u);
  BOOST_TEST(SL_SEQ_SLOT(s.entries[0].seq) == above);
  BOOST_TEST(SL_SEQ_SLOT(s.entries[2].seq) == below);
  s.tables.requests[below].priority = 3;  // now nobody who runs ranks lower
  s.tables.event(SL_EV_ADMITTED, s.tables.id(below));
  BOOST_TEST(s.plan() == Plan{}, boost::test_tools::per_element());
}

// 2 blocks in the host: a copy takes 3 us, to compute their 32 tokens 32 us.
BOOST_AUTO_TEST_CASE(a_host_cached_prefix_is_fetched_where_that_is_cheaper) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    s.run();
    const std::uint32_t a = s.wait(), b = s.wait();
    s.tables.seqs[a].runnable = s.tables.requests[a].prompt_tokens = 80;
    s.cached(a, 1, 2);
    s.cached(b, 1, 0);
    BOOST_TEST(s.plan() == (Plan{"prefetch 1", "admit 2"}), boost::test_tools::per_element());
    for (const sl_entry& entry : s.entries)
      if (entry.verb == SL_PREFETCH) BOOST_TEST(entry.blocks == 3u);  // in all
    s.runs(b);
    s.arrives(a);
    BOOST_TEST(s.plan() == Plan{});
    s.tables.seqs[a].not_ready = 0;
    s.tables.event(SL_EV_READY, s.tables.id(a));
    BOOST_TEST(s.plan() == Plan{"admit 1"});  // asked once, even if it fell
    s.tables.seqs[a].preemptions = 1;
    s.tables.event(SL_EV_PREEMPTED, s.tables.id(a));
    BOOST_TEST(s.plan() == Plan{"prefetch 1"});  // it waits anew
  }
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    s.run();
    const std::uint32_t a = s.wait();
    s.tables.seqs[a].runnable = s.tables.requests[a].prompt_tokens = 80;
    s.cached(a, 1, 2);
    s.tables.cost.swap_fixed_ns = 30000;
    BOOST_TEST(s.plan() == Plan{"admit 1"});
  }
}

// A hit stops one token short of what is known: of 32 tokens, the second block is not fetched.
BOOST_AUTO_TEST_CASE(no_more_is_fetched_than_can_be_hit) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    const std::uint32_t a = s.wait();
    s.cached(a, 1, 1);
    BOOST_TEST(s.plan() == Plan{"admit 0"});
    s.tables.event(SL_EV_PREEMPTED, s.tables.id(a));
    s.tables.nodes.back() = {0, 0, 2, 0, 2, 0, 1, 1};
    BOOST_TEST(s.plan() == Plan{"prefetch 0"});
    BOOST_TEST(s.entries.back().blocks == 1u);
  }
}

// All slots are taken: what waits next is fetched meanwhile, whatever it costs, up to half of the blocks that can be had.
BOOST_AUTO_TEST_CASE(those_next_in_turn_are_fetched_ahead) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    s.tables.cost.swap_fixed_ns = 1e9;
    for (int i = 0; i < 8; ++i) {
      s.run();
      s.tables.event(SL_EV_ADMITTED, s.tables.id(static_cast<std::uint32_t>(i)));
    }
    for (int i = 0; i < 6; ++i) {
      const std::uint32_t slot = s.wait();
      s.tables.seqs[slot].runnable = s.tables.requests[slot].prompt_tokens = 400;
      if (i != 1) s.cached(slot, 0, 8);
    }
    BOOST_TEST(s.plan() == (Plan{"prefetch 8", "prefetch 10"}), boost::test_tools::per_element());
    BOOST_TEST(s.plan() == Plan{"prefetch 11"});  // the fourth; those behind it are not looked at
  }
}

// One that yields by swap while it waits with its first blocks must not be admitted from the ready ones.
BOOST_AUTO_TEST_CASE(a_ready_one_that_is_swapped_out_is_ready_no_more) {
  for (const char* plugin : kSchedulers) {
    Stage s(plugin);
    const std::uint32_t a = s.wait();
    s.run();
    s.tables.raw().max_sequences = 1;
    BOOST_TEST(s.plan() == Plan{});
    s.tables.raw().max_sequences = 8;
    s.tables.seqs[a].state = SL_SWAPPED;
    s.tables.event(SL_EV_PREEMPTED, s.tables.id(a));
    BOOST_TEST(s.plan() == Plan{"swap in 0"});
  }
}

// On random tables: an engine without a host tier, and one whose host tier is empty, get the same plans, byte for byte; and
// without one there is no word of it, whatever the rows say.
BOOST_AUTO_TEST_CASE(with_nothing_in_the_host_the_plans_are_equal) {
  std::size_t compared = 0;
  for (const char* plugin : kSchedulers)
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      Stage none(plugin, 0), empty(plugin), filled(plugin, 0);
      for (Stage* s : {&none, &empty, &filled}) {
        std::uint64_t draws = 0;
        const auto draw = [&](std::uint64_t n) { return static_cast<std::uint32_t>(mix(seed, ++draws) % n); };
        for (std::uint32_t i = 3 + draw(20); i > 0; --i) {
          const bool runs = draw(2) == 0 && s->tables.view().running_count < 8;
          const std::uint32_t slot = runs ? s->run() : s->wait();
          s->tables.seqs[slot].runnable = draw(90);
          if (runs) s->tables.event(SL_EV_ADMITTED, s->tables.id(slot));
          s->tables.requests[slot].priority = static_cast<std::int32_t>(draw(3));
          const std::uint32_t device = draw(4), host = draw(4);
          s->cached(slot, device, s == &filled ? host : 0);
        }
      }
      none.plan(), empty.plan(), filled.plan();
      for (const Stage* s : {&empty, &filled}) {
        BOOST_REQUIRE_EQUAL(none.entries.size(), s->entries.size());
        BOOST_REQUIRE(
            std::memcmp(none.entries.data(), s->entries.data(), none.entries.size() * sizeof(sl_entry)) == 0);
      }
      compared += none.entries.size();
    }
  BOOST_TEST(compared >= 3000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
