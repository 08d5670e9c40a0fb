#include <boost/test/unit_test.hpp>

#include "folder.hpp"
#include "policy/reasons.hpp"

namespace serveloop::policy::testing {
namespace {

const Limits kLimits{.sequence_slots = 8};

std::shared_ptr<Scheduler> make(const Folder& folder, const std::string& behave,
                                const std::string& probe = "probe_good") {
  const auto loaded =
      Host(only("/nonexistent"))
          .load_scheduler(choice(folder.plugin("p", manifest_text(), probe), behave), kLimits);
  BOOST_REQUIRE_MESSAGE(loaded, why(loaded));
  return *loaded;
}

std::string refusal(const std::string& behave) {
  const Folder folder;
  return Host(only("/nonexistent"))
      .load_scheduler(choice(folder.plugin("p", manifest_text()), behave), kLimits)
      .error()
      .message();
}

struct Outcome {
  std::int32_t status;
  std::uint16_t reason;
  std::string report;
};
Outcome outcome(const std::string& behave) {
  const Folder folder;
  const auto instance = make(folder, behave);
  Buffers b;
  const std::int32_t status = instance->plan(b.view, b.rows, b.gauges);
  BOOST_TEST(b.rows.base == b.entries);
  BOOST_TEST(b.rows.capacity == 4u);
  return {status, reason_of(status), instance->report()};
}

BOOST_AUTO_TEST_SUITE(instance)

BOOST_AUTO_TEST_CASE(a_good_call_answers) {
  const Folder folder;
  const auto instance = make(folder, "");
  Buffers b;
  b.rows.count = 99;
  BOOST_TEST(instance->plan(b.view, b.rows, b.gauges) == SL_OK);
  BOOST_TEST(b.rows.count == 1u);
  BOOST_TEST(b.gauges.count == 0u);
  BOOST_TEST(b.entries[0].seq == ((sl_seq{1} << 32) | 5));
  BOOST_TEST(instance->hears());
  BOOST_TEST(instance->note(b.view) == SL_OK);
  BOOST_TEST(instance->health().calls() == 2u);
  BOOST_TEST(instance->options().find("behave")->as_string().value() == "well");
}

BOOST_AUTO_TEST_CASE(exceptions_stop_at_the_boundary) {
  BOOST_TEST(outcome("throw").status == SL_EXCEPTION);
  BOOST_TEST(outcome("throw").reason == SL_REASON_CALL_FAILED);
  BOOST_TEST(contains(outcome("throw").report, "last failure: exception: thrown by a call"));
  BOOST_TEST(contains(outcome("throw an int").report, "an exception of unknown type"));
  BOOST_TEST(contains(refusal("throw at create"), "thrown by create"));
  const Folder folder;
  BOOST_TEST(make(folder, "throw")->note(sl_view{}) == SL_EXCEPTION);
  make(folder, "throw at destroy").reset();
}

BOOST_AUTO_TEST_CASE(a_failed_call_is_a_failed_call) {
  BOOST_TEST(outcome("fail").status == SL_ERROR);
  BOOST_TEST(outcome("fail with our code").reason == SL_REASON_CALL_FAILED);
  BOOST_TEST(contains(refusal("refuse"), "found bad option: it does not like its options"));
}

BOOST_AUTO_TEST_CASE(a_failed_call_says_why) {
  BOOST_TEST(contains(outcome("fail").report, "last failure: error: a bad day\n"));
  BOOST_TEST(contains(outcome("fail with our code").report, "last failure: error: thrown by last\n"));
  BOOST_TEST(contains(outcome("fail without a word").report, "last failure: error\n"));
  const std::string clipped = "last failure: error: " + std::string(512, 'x') + "\n";
  BOOST_TEST(contains(outcome("fail at length").report, clipped));
}

BOOST_AUTO_TEST_CASE(what_a_policy_of_the_cpp_layer_throws_is_told) {
  const auto failure = [](const std::string& behave, bool by_note) {
    const Folder folder;
    const auto instance = make(folder, behave, "layered");
    Buffers b;
    BOOST_TEST(instance->last_failure().empty());
    BOOST_TEST((by_note ? instance->note(b.view) : instance->plan(b.view, b.rows, b.gauges)) == SL_EXCEPTION);
    BOOST_TEST(contains(instance->report(), "last failure: " + instance->last_failure() + "\n"));
    return instance->last_failure();
  };
  BOOST_TEST(contains(failure("well", false), "exception: vector::_M_range_check"));
  BOOST_TEST(failure("well", true) == "exception: thrown by note");
  BOOST_TEST(failure("throw an int", false) == "exception: an exception of unknown type");
  BOOST_TEST(failure("throw at length", false) == "exception: " + std::string(511, 'x'));
}

BOOST_AUTO_TEST_CASE(the_report_shows_a_few_rows_of_a_long_answer) {
  const Folder folder;
  const auto instance = make(folder, "fill");
  std::vector<sl_entry> entries(300);
  Buffers b;
  b.rows = {entries.data(), sizeof(sl_entry), 300, 0, 0};
  BOOST_TEST(instance->plan(b.view, b.rows, b.gauges) == SL_OK);
  const std::string text = instance->report();
  BOOST_TEST(contains(text, "300 rows\n"), text);
  BOOST_TEST(contains(text, "\n    ... and 292 more\n"), text);
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') < 20, text);
}

BOOST_AUTO_TEST_CASE(the_report_shows_the_row_that_broke_a_rule) {
  const Folder folder;
  const auto instance = make(folder, "fill");
  std::vector<sl_entry> entries(300);
  Buffers b;
  b.rows = {entries.data(), sizeof(sl_entry), 300, 0, 0};
  for (const std::uint32_t bad : {2u, 250u}) {
    BOOST_TEST(instance->plan(b.view, b.rows, b.gauges) == SL_OK);
    entries[bad].seq = (sl_seq{7} << 32) | 777;
    instance->refused(SL_REASON_TWICE, bad, &entries[bad]);
    const std::string text = instance->report();
    const std::string mark = "  <- row " + std::to_string(bad) + " refused: twice";
    BOOST_TEST(contains(text, "300 rows, refused: twice\n"), text);
    BOOST_REQUIRE_MESSAGE(contains(text, mark), text);
    BOOST_TEST(contains(text.substr(text.find(mark) - 80, 80), "seq 777/7"), text);
  }
  instance->refused(SL_REASON_TWICE, 300, nullptr);  // no such row
  instance->refused(SL_REASON_CALL_FAILED);
  BOOST_TEST(instance->health().refusals() == 4u);
}

BOOST_AUTO_TEST_CASE(rows_beyond_the_capacity_are_an_overflow) {
  for (const char* behave : {"overflow", "overflow gauges", "grow the buffer"}) {
    BOOST_TEST(outcome(behave).status == kOverflow, behave);
    BOOST_TEST(outcome(behave).reason == SL_REASON_OVERFLOW, behave);
  }
  BOOST_TEST(outcome("move the buffer").status == SL_OK);  // and the buffer is where it was
}

BOOST_AUTO_TEST_CASE(an_optional_function_may_be_missing) {
  const Folder folder;
  const auto loaded =
      Host(only("/nonexistent"))
          .load_eviction(choice(folder.plugin("p", manifest_text("", "", "eviction"), "probe_eviction")),
                         kLimits);
  BOOST_REQUIRE_MESSAGE(loaded, why(loaded));
  Buffers b;
  sl_evict_in in{&b.view, {}, {1, 0}, {0, 0}};
  BOOST_TEST(!(*loaded)->hears());
  BOOST_TEST((*loaded)->note(in) == SL_OK);
  BOOST_TEST((*loaded)->evict(in, b.rows, b.gauges) == SL_OK);
  const auto old = make(folder, "", "probe_old");  // its function table ends before `note`
  BOOST_TEST(!old->hears());
  BOOST_TEST(old->plan(b.view, b.rows, b.gauges) == SL_OK);
}

BOOST_AUTO_TEST_CASE(state_moves_where_schemas_match) {
  const Folder folder;
  const auto before = make(folder, ""), next = make(folder, ""), other = make(folder, "", "probe_schema");
  Buffers b;
  for (int i = 0; i < 3; ++i) before->plan(b.view, b.rows, b.gauges);
  BOOST_TEST(hand_over_state(*before, *next).value());
  BOOST_TEST(contains(next->report(), "probe called 3 times"));
  BOOST_TEST(!hand_over_state(*before, *other).value());
  BOOST_TEST(make(folder, "save much")->save().value().size() == 100000u);
  const std::string line = hand_over_state(*before, *make(folder, "refuse state")).error().message();
  BOOST_TEST(contains(line, "bad state"), line);
}

BOOST_AUTO_TEST_CASE(the_report_tells_the_last_answers) {
  const Folder folder;
  const auto instance = make(folder, "");
  Buffers b;
  for (b.view.step = 1; b.view.step <= 6; ++b.view.step) instance->plan(b.view, b.rows, b.gauges);
  instance->health().refused(SL_REASON_TWICE);
  instance->health().refused(SL_REASON_PLUGIN + 1);
  const std::string text = instance->report();
  for (const char* part : {"scheduler 'probe' 1.0.0", "calls 6, refused 2", "twice: 1", "probe.second: 1",
                           "probe called 6 times", "step 6: 1 rows", "step 3: 1 rows", "seq 5/1"}) {
    BOOST_TEST(contains(text, part), text);
  }
  BOOST_TEST(!contains(text, "step 2:"), text);
}

BOOST_AUTO_TEST_CASE(health_ejects_what_keeps_failing) {
  Health in_a_row;
  for (int i = 0; i < 7; ++i) in_a_row.refused(SL_REASON_TWICE);
  BOOST_TEST(!in_a_row.should_eject());
  in_a_row.refused(SL_REASON_TWICE);
  BOOST_TEST(in_a_row.should_eject());

  Health every_other, rare;
  int calls = 0;
  for (; calls < 1000 && !every_other.should_eject(); ++calls) {
    if (calls % 2 == 0)
      every_other.refused(SL_REASON_STALE_ID);
    else
      every_other.good();
  }
  BOOST_TEST(calls < 140);
  BOOST_TEST(every_other.refusals(SL_REASON_STALE_ID) == every_other.refusals());
  for (int i = 0; i < 1000000; ++i) {
    if (i % 1000 == 0)
      rare.refused(SL_REASON_STALE_ID);
    else
      rare.good();
  }
  BOOST_TEST(!rare.should_eject());
  BOOST_TEST(rare.refusals() == 1000u);
}

BOOST_AUTO_TEST_CASE(reasons_have_names) {
  BOOST_TEST(reason_name(SL_REASON_NO_HOST_TIER) == "no_host_tier");
  BOOST_TEST(reason_name(SL_REASON_PLUGIN) == "reason_256");
  const Manifest m = *parse_manifest(manifest_text(), "p");
  BOOST_TEST(reason_name(SL_REASON_PLUGIN, &m) == "probe.first");
  BOOST_TEST(reason_name(SL_REASON_PLUGIN + 2, &m) == "reason_258");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace serveloop::policy::testing
