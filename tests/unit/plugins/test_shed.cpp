// The gate shed on arrivals made by hand: who is refused, and for whose load.
#include <boost/test/unit_test.hpp>

#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint64_t kMs = 1'000'000;

// A prompt token takes 1 ms, a decode nothing, so a prompt is as many milliseconds.
class Gate {
 public:
  explicit Gate(toml::Table options = {})
      : tables(limits_), gate_(need(build_host().load_gate({"shed", std::move(options)}, limits_))) {
    tables.cost.prefill_token_ns = 1e6;
  }
  // False: refused.
  bool arrive(std::uint32_t prompt, std::int32_t priority = 0, std::uint64_t due_ns = SL_NEVER) {
    slot = add(prompt, priority, due_ns);
    return ask();
  }
  bool ask() {
    const auto entries = plan_of(*gate_, tables);
    for (const sl_entry& entry : entries) {
      BOOST_CHECK_EQUAL(entry.verb, std::uint16_t{SL_REJECT});
      tables.seqs[SL_SEQ_SLOT(entry.seq)].state = SL_ENDED;
      tables.event(SL_EV_ENDED, entry.seq);
    }
    refused = static_cast<std::uint32_t>(entries.size());
    return entries.empty();
  }
  std::uint32_t add(std::uint32_t prompt, std::int32_t priority, std::uint64_t due_ns) {
    sl_seq_row& row = tables.add(SL_WAITING, prompt, 10);
    row.not_ready = SL_NOT_READY_UNGATED;
    tables.requests.back().priority = priority;
    tables.requests.back().ttft_deadline_ns = due_ns;
    tables.event(SL_EV_ARRIVED, row.id);
    return SL_SEQ_SLOT(row.id);
  }
  void starts(std::uint32_t which) {
    tables.seqs[which].state = SL_RUNNING;
    tables.event(SL_EV_ADMITTED, tables.id(which));
  }

 private:
  policy::Limits limits_ = limits();

 public:
  Tables tables;
  std::uint32_t slot = 0, refused = 0;

 private:
  std::shared_ptr<policy::Scheduler> gate_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(shed)

BOOST_AUTO_TEST_CASE(refuses_once_those_before_it_take_longer_than_the_limit) {
  Gate gate({{"max_wait_ms", 100}});
  BOOST_CHECK(gate.arrive(60));
  const std::uint32_t first = gate.slot;
  BOOST_CHECK(gate.arrive(40));  // 60 before it
  BOOST_CHECK(gate.arrive(1));   // 100
  BOOST_CHECK(!gate.arrive(1));  // 101
  BOOST_CHECK(!gate.arrive(1));  // a refused one is not counted
  gate.starts(first);
  BOOST_CHECK(gate.arrive(1));  // 41
}

BOOST_AUTO_TEST_CASE(a_paused_one_holds_up_nobody_until_it_goes_on) {
  Gate gate({{"max_wait_ms", 100}});
  BOOST_CHECK(gate.arrive(101));
  const std::uint32_t first = gate.slot;
  gate.tables.seqs[first].state = SL_PAUSED;
  gate.tables.event(SL_EV_PAUSED, gate.tables.id(first));
  BOOST_CHECK(gate.ask());
  BOOST_CHECK(gate.arrive(1));  // nobody before it
  gate.tables.seqs[first].state = SL_WAITING;
  gate.tables.event(SL_EV_RESUMED, gate.tables.id(first));
  BOOST_CHECK(gate.ask());
  BOOST_CHECK(!gate.arrive(1));
}

BOOST_AUTO_TEST_CASE(lower_priorities_do_not_count_unless_the_order_is_that_of_arrival) {
  for (const bool by_priority : {true, false}) {
    Gate gate({{"max_wait_ms", 100}, {"order", by_priority ? "priority" : "arrival"}});
    BOOST_CHECK(gate.arrive(150, 0));
    BOOST_CHECK(!gate.arrive(1, 0));
    BOOST_CHECK_EQUAL(gate.arrive(150, 5), by_priority);
    BOOST_CHECK(!gate.arrive(1, 5));
    BOOST_CHECK_EQUAL(gate.arrive(1, 6), by_priority);
  }
}

BOOST_AUTO_TEST_CASE(a_deadline_is_the_limit_where_there_is_one) {
  for (const bool deadlines : {true, false}) {
    Gate gate({{"max_wait_ms", 100}, {"deadlines", deadlines}});
    gate.tables.raw().now_ns = 1000 * kMs;
    BOOST_CHECK(gate.arrive(50));
    BOOST_CHECK_EQUAL(gate.arrive(10, 0, 1059 * kMs), !deadlines);  // 50 before it, 10 itself
    BOOST_CHECK(gate.arrive(10, 0, 1061 * kMs));
  }
}

BOOST_AUTO_TEST_CASE(some_are_never_refused) {
  Gate gate({{"max_wait_ms", 100}, {"spare_from", 3}});
  BOOST_CHECK(gate.arrive(500, 9));
  BOOST_CHECK(!gate.arrive(1, 2));
  BOOST_CHECK(gate.arrive(1, 3));
}

// A request is let in whole or refused whole, and its prompt counts once.
BOOST_AUTO_TEST_CASE(sequences_of_one_request_share_its_fate) {
  Gate gate({{"max_wait_ms", 100}});
  for (const std::uint32_t expected : {0u, 3u}) {
    const std::uint32_t first = gate.add(101, 0, SL_NEVER);
    for (std::uint32_t fork = 1; fork < 3; ++fork) {
      const std::uint32_t slot = gate.add(101, 0, SL_NEVER);
      gate.tables.seqs[slot].fork = fork;
      gate.tables.seqs[slot].request = gate.tables.seqs[first].request;
    }
    gate.ask();
    BOOST_CHECK_EQUAL(gate.refused, expected);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
