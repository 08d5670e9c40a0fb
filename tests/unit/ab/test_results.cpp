// A run's file is read back as it was written, and one that is not whole is no such file.
#include <serveloop/events.h>

#include "experiment/ab/result.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::ab::test {

namespace {

RunResult some_run() {
  RunResult run = run_of({12.5, 0.000001, 98765.4321});
  run.fingerprint = std::string(64, 'f');
  run.arm = "an arm";
  run.repeat = 3;
  run.seed = UINT64_MAX;
  run.policies = {"fcfs", "a \"quoted\" name"};
  run.figures = {{"steps", 17}, {"output_tokens_per_s", 0.1 + 0.2}};
  run.incidents = {"a policy was\nejected"};
  run.sequences[1].outcome = Outcome::rejected;
  run.sequences[2].deadlines = Kept::no;
  run.sequences[2].fork = 7;
  run.sequences[2].preemptions = 4;
  run.sequences[2].longest_gap_ns = UINT64_MAX;
  return run;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(results)

BOOST_AUTO_TEST_CASE(a_file_is_read_back_equal) {
  const RunResult run = some_run();
  const std::string text = to_text(run);
  BOOST_TEST(fingerprint_in(text) == run.fingerprint);
  const Result<RunResult> read = parse_run(text, "x.jsonl");
  BOOST_REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message()));
  BOOST_TEST(read->arm == run.arm);
  BOOST_TEST(read->repeat == run.repeat);
  BOOST_TEST(read->seed == run.seed);
  BOOST_TEST(read->policies == run.policies);
  BOOST_TEST((read->figures == run.figures));
  BOOST_TEST(read->incidents == run.incidents);
  BOOST_TEST((read->sequences == run.sequences));
  BOOST_TEST(to_text(*read) == text);
}

BOOST_AUTO_TEST_CASE(what_is_cut_or_changed_is_refused) {
  const std::string text = to_text(some_run());
  for (std::size_t length = 0; length < text.size(); ++length) {
    BOOST_REQUIRE(!parse_run(std::string_view(text).substr(0, length), "x.jsonl").has_value());
    BOOST_REQUIRE(fingerprint_in(std::string_view(text).substr(0, length)).empty());
  }
  std::string other = text;
  other.replace(other.find("\n[0,") + 1, 3, "[-1");
  BOOST_TEST(parse_run(other, "x.jsonl")
                 .error()
                 .message()
                 .starts_with("x.jsonl:2: expected an array of 15 numbers"));
  other = text;
  other.replace(other.find("\"serveloop_ab\":2"), 16, "\"serveloop_ab\":1");
  BOOST_TEST(parse_run(other, "x.jsonl")
                 .error()
                 .message()
                 .starts_with("x.jsonl: expected results of `serveloop ab`"));
  other = text;
  other.replace(other.find("\"repeat\":3"), 10, "\"repeat\":[]");
  BOOST_TEST(
      parse_run(other, "x.jsonl").error().message().starts_with("x.jsonl:1: expected an object about a run"));
}

BOOST_AUTO_TEST_CASE(an_end_becomes_times_after_arrival) {
  SequenceEnd ended;
  ended.identity = 9;
  ended.begun_ns = 700;
  ended.end.finish = SL_FINISH_LENGTH;
  ended.end.arrival_ns = 1000;
  ended.end.first_token_ns = 1500;
  ended.end.last_token_ns = 2500;
  ended.end.end_ns = 2600;
  ended.end.output_tokens = 5;
  const auto kept = [&](std::uint64_t first, std::uint64_t between, std::uint64_t whole) {
    ended.stated = {first, between, whole};
    return result_of(ended).deadlines;
  };
  BOOST_TEST((kept(SL_NEVER, SL_NEVER, SL_NEVER) == Kept::none));
  BOOST_TEST((kept(500, 250, 1600) == Kept::yes));
  BOOST_TEST((kept(499, SL_NEVER, SL_NEVER) == Kept::no));
  BOOST_TEST((kept(SL_NEVER, 249, SL_NEVER) == Kept::no));  // 1000 ns over four gaps
  BOOST_TEST((kept(SL_NEVER, SL_NEVER, 1599) == Kept::no));
  ended.end.finish = SL_FINISH_DEADLINE;
  BOOST_TEST((kept(500, 250, 1600) == Kept::no));
  const SequenceResult s = result_of(ended);
  BOOST_TEST((s.outcome == Outcome::deadline));
  BOOST_TEST(s.request == 9u);
  BOOST_TEST(s.begun_ns == 700u);
  BOOST_TEST(s.first_token_ns == 500u);
  BOOST_TEST(s.last_token_ns == 1500u);
  BOOST_TEST(s.end_ns == 1600u);
  ended.end.first_token_ns = ended.end.last_token_ns = 0;
  BOOST_TEST(result_of(ended).first_token_ns == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::ab::test
