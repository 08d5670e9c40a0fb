// Schedulers that rank all sequences, on tables made by hand: who goes first, whose slot is taken, who has a token in any case.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "tables.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint64_t kMs = 1'000'000;
using Plan = std::vector<std::string>;

class Stage {
 public:
  explicit Stage(const char* plugin, toml::Table options = {}, std::uint32_t host_blocks = 0)
      : limits_(limits(100, host_blocks)),
        tables(limits_),
        scheduler_(need(build_host().load_scheduler({plugin, std::move(options)}, limits_))) {
    tables.raw().tier[SL_TIER_DEVICE].free = 100;
    tables.cost.step_fixed_ns = 1e6;        // a decode alone takes 1 ms
    tables.cost.prefill_token_ns = 10'000;  // a prompt of 100 tokens 2 ms
  }

  std::uint32_t run(std::uint32_t prefill_left = 1) {
    sl_seq_row& row = tables.add(SL_RUNNING, 32, 1000);
    row.runnable = prefill_left;
    tables.event(SL_EV_ADMITTED, row.id);
    return SL_SEQ_SLOT(row.id);
  }
  std::uint32_t wait(std::uint32_t prompt = 32, std::uint32_t most = 1000) {
    const sl_seq id = tables.add(SL_WAITING, prompt, most).id;
    tables.event(SL_EV_READY, id);
    tables.cold.back().ready_ns = tables.raw().now_ns;
    return SL_SEQ_SLOT(id);
  }
  sl_request_row& request(std::uint32_t slot) { return tables.requests[tables.seqs[slot].request]; }
  // As the engine would: what a plan admits runs, what it preempts waits.
  Plan step() {
    Plan out;
    entries = plan_of(*scheduler_, tables);
    for (const sl_entry& entry : entries) {
      const std::uint32_t slot = SL_SEQ_SLOT(entry.seq);
      if (entry.verb == SL_RUN) out.push_back(fmt::format("run {} x {}", slot, entry.tokens));
      if (entry.verb == SL_ADMIT) out.push_back(fmt::format("admit {} x {}", slot, entry.tokens));
      if (entry.verb == SL_PREEMPT) {
        out.push_back(fmt::format("preempt {}{}", slot, entry.arg == SL_YIELD_SWAP ? " to the host" : ""));
        tables.seqs[slot].state = SL_WAITING;
        tables.event(SL_EV_PREEMPTED, entry.seq);
      }
    }
    for (const sl_entry& entry : entries)
      if (entry.verb == SL_ADMIT) {
        tables.seqs[SL_SEQ_SLOT(entry.seq)].state = SL_RUNNING;
        tables.seqs[SL_SEQ_SLOT(entry.seq)].runnable = 1;
        tables.event(SL_EV_ADMITTED, entry.seq);
      }
    return out;
  }
  void end(std::uint32_t slot) {
    tables.seqs[slot].state = SL_ENDED;
    tables.event(SL_EV_ENDED, tables.id(slot));
  }

 private:
  policy::Limits limits_;

 public:
  Tables tables;
  std::vector<sl_entry> entries;

 private:
  std::shared_ptr<policy::Scheduler> scheduler_;
};

void check_plan(const Plan& found, const Plan& expected) {
  BOOST_CHECK_EQUAL_COLLECTIONS(found.begin(), found.end(), expected.begin(), expected.end());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(orders)

BOOST_AUTO_TEST_CASE(every_decode_has_its_token_before_prompts_share_the_rest) {
  for (const char* plugin : {"srpt", "edf", "lars", "mlfq", "plas"}) BOOST_TEST_CONTEXT(plugin) {
      Stage stage(plugin);
      for (int i = 0; i < 4; ++i) stage.run();
      const std::uint32_t urgent = stage.wait(300, 1);
      stage.request(urgent).predicted_p50 = 1;
      stage.request(urgent).ttft_deadline_ns = 1;
      std::uint32_t decodes = 0, prompt = 0;
      stage.step();
      for (const sl_entry& entry : stage.entries) (entry.verb == SL_RUN ? decodes : prompt) += entry.tokens;
      BOOST_CHECK_EQUAL(decodes, 4u);
      BOOST_CHECK_EQUAL(prompt, 256u - 4u);
    }
}

BOOST_AUTO_TEST_CASE(srpt_admits_the_shortest_first) {
  Stage stage("srpt");
  const std::uint32_t longer = stage.wait(), shortest = stage.wait(), middle = stage.wait(32, 50);
  stage.request(longer).predicted_p50 = 100;
  stage.request(shortest).predicted_p50 = 10;  // middle: not predicted, at most 50
  check_plan(stage.step(), {fmt::format("admit {} x 32", shortest), fmt::format("admit {} x 32", middle),
                            fmt::format("admit {} x 32", longer)});
}

BOOST_AUTO_TEST_CASE(srpt_counts_prompts_too) {
  Stage stage("srpt");
  const std::uint32_t prompt = stage.wait(200), output = stage.wait(10);
  stage.request(prompt).predicted_p50 = 10;  // 3 ms and 10 ms
  stage.request(output).predicted_p50 = 11;  // 1.1 ms and 11 ms
  BOOST_CHECK_EQUAL(stage.step().front(), fmt::format("admit {} x 10", output));
}

BOOST_AUTO_TEST_CASE(srpt_takes_the_slot_of_one_that_is_much_longer) {
  for (const std::uint32_t output : {40u, 60u}) {  // less than half of 100, and more
    Stage stage("srpt");
    for (int i = 0; i < 8; ++i) stage.request(stage.run()).predicted_p50 = i == 3 ? 100 : 30;
    stage.request(stage.wait(1)).predicted_p50 = output;
    const Plan plan = stage.step();
    const bool preempts = std::find(plan.begin(), plan.end(), "preempt 3") != plan.end();
    BOOST_CHECK_EQUAL(preempts, output == 40);
    BOOST_CHECK_EQUAL(plan.size(), preempts ? 9u : 8u);
  }
}

BOOST_AUTO_TEST_CASE(srpt_leaves_its_slot_to_one_late_in_its_answer) {
  Stage stage("srpt");
  for (int i = 0; i < 8; ++i) stage.request(stage.run()).predicted_p50 = 100;
  for (int i = 0; i < 8; ++i) stage.tables.seqs[i].generated = 400;  // it goes on and on: 301 to come
  stage.request(stage.wait(1)).predicted_p50 = 1;
  BOOST_CHECK_EQUAL(stage.step().size(), 8u);
  stage.tables.seqs[5].generated = 70;  // early
  const Plan plan = stage.step();
  BOOST_CHECK(std::find(plan.begin(), plan.end(), "preempt 5") != plan.end());
}

BOOST_AUTO_TEST_CASE(edf_goes_by_what_is_due_next) {
  Stage stage("edf");
  stage.tables.raw().now_ns = 100 * kMs;
  const std::uint32_t never = stage.wait(), late = stage.wait(), end = stage.wait(), soon = stage.wait();
  stage.request(never).ttft_deadline_ns = stage.request(never).end_deadline_ns = SL_NEVER;
  stage.request(late).ttft_deadline_ns = 300 * kMs, stage.request(late).end_deadline_ns = SL_NEVER;
  stage.request(end).ttft_deadline_ns = SL_NEVER, stage.request(end).end_deadline_ns = 200 * kMs;
  stage.request(soon).ttft_deadline_ns = 110 * kMs, stage.request(soon).end_deadline_ns = SL_NEVER;
  Plan expected;
  for (const std::uint32_t slot : {soon, end, late, never})
    expected.push_back(fmt::format("admit {} x 32", slot));
  check_plan(stage.step(), expected);
}

BOOST_AUTO_TEST_CASE(edf_stops_a_prompt_between_chunks) {
  Stage stage("edf");
  const std::uint32_t prefill = stage.run(1000);
  stage.request(prefill).ttft_deadline_ns = 500 * kMs, stage.request(prefill).end_deadline_ns = SL_NEVER;
  const std::uint32_t soon = stage.wait(200);
  stage.request(soon).ttft_deadline_ns = 100 * kMs, stage.request(soon).end_deadline_ns = SL_NEVER;
  check_plan(stage.step(), {fmt::format("admit {} x 200", soon), fmt::format("run {} x 56", prefill)});
}

BOOST_AUTO_TEST_CASE(edf_takes_the_slot_that_is_due_last_if_it_may) {
  for (const bool preempt : {true, false}) {
    Stage stage("edf", {{"preempt", preempt}});
    for (std::uint32_t i = 0; i < 8; ++i) {
      sl_request_row& r = stage.request(stage.run());
      r.ttft_deadline_ns = (i == 2 ? 900 : 300) * kMs, r.end_deadline_ns = r.tbt_target_ns = SL_NEVER;
    }
    sl_request_row& r = stage.request(stage.wait(1));
    r.ttft_deadline_ns = 400 * kMs, r.end_deadline_ns = SL_NEVER;
    const Plan plan = stage.step();
    BOOST_CHECK_EQUAL(std::find(plan.begin(), plan.end(), "preempt 2") != plan.end(), preempt);
  }
}

// The long prompt takes 42 ms and has 85; the short ones take 1.3 ms and have 60.
BOOST_AUTO_TEST_CASE(lars_begins_a_long_prompt_in_time_where_edf_does_not) {
  for (const char* plugin : {"lars", "edf"}) {
    Stage stage(plugin);
    const std::uint32_t lengthy = stage.wait(4096);
    stage.request(lengthy).ttft_deadline_ns = 85 * kMs, stage.request(lengthy).end_deadline_ns = SL_NEVER;
    for (int i = 0; i < 4; ++i) {
      sl_request_row& r = stage.request(stage.wait(32));
      r.ttft_deadline_ns = 60 * kMs, r.end_deadline_ns = SL_NEVER;
    }
    const bool first = stage.step().front() == fmt::format("admit {} x 256", lengthy);
    BOOST_CHECK_EQUAL(first, std::string(plugin) == "lars");
  }
}

// Classes are merged as if all stood in one order, whatever the time.
BOOST_AUTO_TEST_CASE(lars_goes_by_relative_slack_across_lengths) {
  for (const std::uint64_t now_ms : {0, 40, 1000}) {
    Stage stage("lars");
    stage.tables.raw().now_ns = now_ms * kMs;
    std::vector<std::pair<double, std::uint32_t>> expected;
    for (std::uint32_t i = 0; i < 7; ++i) {
      const std::uint32_t prompt = 1u << i;
      const std::uint32_t slot = stage.wait(prompt);
      const double time = 1e6 + 1e4 * prompt, due = (50.0 + 37 * i % 90) * kMs;
      stage.request(slot).ttft_deadline_ns = static_cast<std::uint64_t>(due);
      stage.request(slot).end_deadline_ns = SL_NEVER;
      expected.emplace_back((due - static_cast<double>(now_ms * kMs)) / time, slot);
    }
    std::sort(expected.begin(), expected.end());
    const Plan plan = stage.step();
    BOOST_REQUIRE_EQUAL(plan.size(), 7u);
    for (std::size_t i = 0; i < 7; ++i)
      BOOST_CHECK_EQUAL(plan[i].find(fmt::format("admit {} x", expected[i].second)), 0u);
  }
}

BOOST_AUTO_TEST_CASE(mlfq_goes_down_with_service_and_skips_what_cannot_hold_a_prompt) {
  Stage stage("mlfq", {{"quantum_ms", 2.5}, {"growth", 2.0}});
  const std::uint32_t served = stage.wait(), lengthy = stage.wait(250), fresh = stage.wait();
  stage.tables.cold[served].service_ns = 8 * kMs;  // 2.5 and 5 are used up: level 2
  // 3.5 ms of prompt: level 1
  check_plan(stage.step(), {fmt::format("admit {} x 32", fresh), fmt::format("admit {} x 224", lengthy)});
  stage.tables.seqs[lengthy].runnable = 26;
  BOOST_CHECK_EQUAL(stage.step().back(), fmt::format("admit {} x 32", served));
}

BOOST_AUTO_TEST_CASE(mlfq_takes_the_slot_of_a_lower_level) {
  for (const std::uint32_t host : {0u, 100u}) {
    Stage stage("mlfq", {{"quantum_ms", 2.5}}, host);
    stage.tables.cost.swap_block_ns = 10;
    for (int i = 0; i < 8; ++i) stage.run();
    stage.tables.cold[6].service_ns = 5 * kMs;
    stage.tables.seqs[6].computed = 100, stage.tables.seqs[6].blocks_device = 7;
    stage.wait(1);
    const Plan plan = stage.step();
    BOOST_CHECK(std::find(plan.begin(), plan.end(), host > 0 ? "preempt 6 to the host" : "preempt 6") !=
                plan.end());
    BOOST_CHECK_EQUAL(plan.back(), "admit 8 x 1");
  }
}

// At half of the bound it goes before all others, takes a slot from the first level, and keeps it for that level's share.
BOOST_AUTO_TEST_CASE(who_waits_for_half_of_the_bound_goes_first) {
  for (const char* plugin : {"mlfq", "plas"}) BOOST_TEST_CONTEXT(plugin) {
      Stage stage(plugin, {{"quantum_ms", 10.0}, {"max_wait_ms", 200}});
      const std::uint32_t old = stage.wait(1);
      stage.tables.cold[old].service_ns = 400 * kMs;  // far down
      for (int i = 0; i < 8; ++i) stage.run();
      const auto admitted = [&](std::uint64_t at_ms) {
        stage.tables.raw().now_ns = at_ms * kMs;
        stage.step();
        return stage.tables.seqs[old].state == SL_RUNNING;
      };
      BOOST_CHECK(!admitted(0));
      BOOST_CHECK(!admitted(99));
      BOOST_CHECK(admitted(100));
      stage.wait(1);                                  // of the first level: takes nothing from it
      stage.tables.cold[old].service_ns += 10 * kMs;  // 1.01 of them for its prompt
      BOOST_CHECK(admitted(101));
      stage.tables.cold[old].service_ns += 2 * kMs;
      BOOST_CHECK(!admitted(102));
    }
}

// And from there down by what it has had since, not to where it was.
BOOST_AUTO_TEST_CASE(who_became_overdue_goes_down_from_the_top) {
  for (const char* plugin : {"mlfq", "plas"}) BOOST_TEST_CONTEXT(plugin) {
      Stage stage(plugin, {{"quantum_ms", 10.0}, {"max_wait_ms", 200}});
      const std::uint32_t old = stage.wait(1);
      stage.tables.cold[old].service_ns = 400 * kMs;  // level 5
      stage.tables.raw().now_ns = 100 * kMs;
      stage.step();
      for (int i = 0; i < 7; ++i) stage.run();
      stage.tables.cold[4].service_ns = 40 * kMs;  // level 2
      stage.step();
      stage.tables.cold[old].service_ns += 15 * kMs;  // level 1, since it became overdue
      stage.wait(1);
      const Plan plan = stage.step();
      BOOST_CHECK(std::find(plan.begin(), plan.end(), "preempt 4") != plan.end());
      BOOST_CHECK(std::find(plan.begin(), plan.end(), fmt::format("preempt {}", old)) == plan.end());
    }
}

BOOST_AUTO_TEST_CASE(plas_counts_what_a_program_had_before) {
  Stage stage("plas", {{"quantum_ms", 10.0}, {"programs", 2}});
  const auto call = [&](std::uint64_t program) {
    const std::uint32_t slot = stage.wait(1);
    stage.request(slot).program = program;
    return slot;
  };
  const std::uint32_t first = call(7);
  stage.step();
  stage.tables.cold[first].service_ns = 15 * kMs;
  stage.end(first);
  stage.step();
  const std::uint32_t again = call(7), fresh = call(8), none = call(0);
  check_plan(stage.step(), {fmt::format("admit {} x 1", fresh), fmt::format("admit {} x 1", none),
                            fmt::format("admit {} x 1", again)});
  // 7 is forgotten once two others have ended since.
  stage.tables.cold[again].service_ns = 1;
  stage.end(again);
  for (const std::uint64_t program : {10, 11}) {
    const std::uint32_t slot = call(program);
    stage.step();
    stage.tables.cold[slot].service_ns = 15 * kMs;
    stage.end(slot);
    stage.step();
  }
  const std::uint32_t known = call(11), forgotten = call(7);
  const Plan plan = stage.step();
  BOOST_CHECK_EQUAL(plan[plan.size() - 2], fmt::format("admit {} x 1", forgotten));
  BOOST_CHECK_EQUAL(plan.back(), fmt::format("admit {} x 1", known));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
