// Pairs, populations, verdicts and their limits, on runs whose answers are known by hand.
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "experiment/ab/plan.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::ab::test {

namespace {

// Two arms of one run each, the second `more_ms` slower in each request.
std::vector<ArmRuns> apart(std::size_t requests, double more_ms, double spacing_s = 0.1) {
  const Draws draws(5, "latency");
  std::vector<double> a, b;
  for (std::size_t i = 0; i < requests; ++i) {
    a.push_back(20 + draws.exponential(i, 80));
    b.push_back(a.back() + more_ms);
  }
  return {{"a", {run_of(a, spacing_s)}}, {"b", {run_of(b, spacing_s)}}};
}

std::string why(const std::vector<ArmRuns>& arms, const std::string& key, CompareOptions options = {}) {
  options.metrics = {key};
  options.resamples = 200;
  const Comparison comparison = compared(arms, options);
  const Difference& d = by(comparison, key);
  BOOST_TEST((d.verdict == Verdict::too_little_data) == !d.why.empty());
  BOOST_TEST(std::isnan(d.low) == !d.why.empty());
  return d.why;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(comparing)

BOOST_AUTO_TEST_CASE(differences_are_those_of_the_statistics) {
  const Comparison comparison = compared(apart(2000, 7), only({"first_token_mean_ms", "first_token_p99_ms"}));
  for (const Difference& d : comparison.arms[1].metrics) {
    BOOST_CHECK_CLOSE(d.difference, 7, 0.01);
    BOOST_CHECK_CLOSE(d.low, 7, 0.01);  // in every resample, as the same blocks are drawn for both
    BOOST_CHECK_CLOSE(d.high, 7, 0.01);
    BOOST_CHECK_CLOSE(d.percent, 100 * 7 / d.baseline, 0.01);
    BOOST_TEST(d.compared == 2000u);
    BOOST_TEST((d.verdict == Verdict::worse));
  }
  const double mean = by(comparison, "first_token_mean_ms", 0).value;
  BOOST_TEST(std::abs(mean - 100) < 10);
}

BOOST_AUTO_TEST_CASE(what_is_better_is_the_metrics_to_say) {
  std::vector<ArmRuns> arms = apart(2000, -7);
  for (std::size_t i = 0; i < 2000; ++i) {
    for (std::size_t arm : {0, 1}) {
      SequenceResult& s = arms[arm].runs[0].sequences[i];
      s.deadlines = i % 10 < (arm == 0 ? 5 : 8) ? Kept::yes : Kept::no;
      s.preemptions = i % 4 == arm ? 2 : 0;
      s.hit_tokens = arm == 0 ? 3 : 2;
    }
  }
  const Comparison comparison = compared(arms, {});
  const auto verdict = [&](const char* key) { return std::string(name_of(by(comparison, key).verdict)); };
  BOOST_TEST(verdict("first_token_mean_ms") == "better");
  BOOST_TEST(verdict("goodput_percent") == "better");
  BOOST_TEST(by(comparison, "goodput_percent").value == 80);
  BOOST_TEST(verdict("prefix_hit_percent") == "worse");
  BOOST_TEST(by(comparison, "prefix_hit_percent").baseline == 30);
  BOOST_TEST(verdict("preemptions_per_request") == "no difference found");
  BOOST_TEST(by(comparison, "preemptions_per_request").value == 0.5);
  // Nothing was recomputed, all completed, nobody had a second token: no line for these.
  for (const Metric* metric : comparison.metrics)
    for (const char* dull : {"recomputed", "completed", "time_per_token", "longest_gap", "output_tokens"})
      BOOST_TEST(metric->key.find(dull) == std::string::npos, metric->key);
}

BOOST_AUTO_TEST_CASE(too_little_data_says_what_is_missing) {
  BOOST_TEST(why(apart(29, 5), "first_token_mean_ms") == "29 requests; 30 are needed");
  BOOST_TEST(why(apart(99, 5), "first_token_p90_ms") == "99 requests; 100 are needed");
  BOOST_TEST(why(apart(999, 5), "first_token_p99_ms") == "999 requests; 1000 are needed");
  BOOST_TEST(why(apart(1000, 5), "first_token_p99_ms") == "");
  CompareOptions blocks;
  blocks.block_s = 11;
  BOOST_TEST(why(apart(1000, 5), "first_token_mean_ms", blocks) == "9 blocks of 11 s; 10 are needed");
  blocks.block_s = 9.9;
  BOOST_TEST(why(apart(1000, 5), "first_token_mean_ms", blocks) == "");
  CompareOptions real;
  real.real_time = true;
  BOOST_TEST(why(apart(1000, 5), "first_token_mean_ms", real) == "1 repeat in real time; 3 are needed");
  BOOST_TEST(why(apart(1000, 5), "output_tokens_per_s") == "1 stream of arrivals; 3 are needed");
  // All slow requests in one minute of twenty.
  std::vector<ArmRuns> arms = apart(12000, 5);
  for (ArmRuns& arm : arms)
    for (std::size_t i = 0; i < 600; ++i) {
      SequenceResult& s = arm.runs[0].sequences[3000 + i];
      s.first_token_ns += 10'000'000'000;
    }
  CompareOptions minutes;
  minutes.block_s = 60;
  BOOST_TEST(why(arms, "first_token_p99_ms", minutes) ==
             "those beyond it lie in 1 of the blocks; 5 are needed");
  BOOST_TEST(why(arms, "first_token_p50_ms", minutes) == "");
}

BOOST_AUTO_TEST_CASE(a_request_that_one_arm_refused_is_told_and_not_timed) {
  std::vector<ArmRuns> arms = apart(1000, 0);
  for (std::size_t i = 0; i < 1000; i += 10) {
    SequenceResult& s = arms[1].runs[0].sequences[i];
    arms[0].runs[0].sequences[i].first_token_ns += 1'000'000'000;  // the slow ones are those that are refused
    s = sequence(i, static_cast<double>(i) * 0.1, 0);
    s.outcome = Outcome::rejected;
    s.prompt_tokens = s.output_tokens = 0;
  }
  arms[0].runs[0].sequences[5].outcome = Outcome::deadline;
  arms[1].runs[0].sequences.pop_back();  // 999 never ended
  const Comparison comparison = compared(arms, {});
  const ArmComparison& b = comparison.arms[1];
  BOOST_TEST(b.only_baseline == 101u);
  BOOST_TEST(b.only_here == 1u);
  BOOST_TEST(b.unfinished == 1u);
  BOOST_TEST(b.outcomes[static_cast<std::size_t>(Outcome::rejected)] == 100u);
  BOOST_TEST(by(comparison, "first_token_mean_ms").compared == 898u);
  BOOST_TEST(by(comparison, "first_token_mean_ms").difference == 0);  // of those in both
  BOOST_TEST(by(comparison, "completed_percent").baseline == 99.9);
  BOOST_TEST(by(comparison, "completed_percent").value == 89.9);
  BOOST_TEST((by(comparison, "completed_percent").verdict == Verdict::worse));
}

BOOST_AUTO_TEST_CASE(the_warm_up_is_not_compared) {
  std::vector<ArmRuns> arms = apart(1000, 0);
  for (std::size_t i = 0; i < 300; ++i) arms[1].runs[0].sequences[i].first_token_ns += 5'000'000'000;
  CompareOptions options = only({"first_token_mean_ms"});
  BOOST_TEST(by(compared(arms, options), "first_token_mean_ms").difference > 1000);
  options.warmup_s = 30;
  const Comparison comparison = compared(arms, options);
  BOOST_TEST(comparison.sequences == 700u);
  BOOST_TEST(by(comparison, "first_token_mean_ms").difference == 0);
  options.warmup_s = 1000;
  BOOST_TEST(compare(arms, 0, options).error().message() ==
             "ab.warmup_s: expected requests that arrive after it, found none in repeat 1");
}

BOOST_AUTO_TEST_CASE(arms_of_other_requests_are_refused) {
  std::vector<ArmRuns> arms = apart(100, 0);
  arms[1].runs[0].sequences[42].prompt_tokens = 11;
  BOOST_TEST(
      compare(arms, 0, {})
          .error()
          .message()
          .find("request 42: expected the same prompt in both arms, found 10 tokens in the baseline, 11") !=
      std::string::npos);
}

// A closed loop's requests arrive when the last answer came: by their numbers they still pair.
BOOST_AUTO_TEST_CASE(pairs_are_by_number_not_by_time) {
  std::vector<ArmRuns> arms = apart(1000, 3);
  for (SequenceResult& s : arms[1].runs[0].sequences) s.arrival_ns *= 2, s.begun_ns *= 2;
  const Comparison comparison = compared(arms, only({"first_token_mean_ms"}));
  BOOST_CHECK_CLOSE(by(comparison, "first_token_mean_ms").difference, 3, 0.01);
  BOOST_CHECK_CLOSE(comparison.block_s * static_cast<double>(comparison.blocks), 100, 5);
}

BOOST_AUTO_TEST_CASE(repeats_lie_side_by_side) {
  std::vector<ArmRuns> arms = apart(1000, 4);
  for (ArmRuns& arm : arms) {
    for (std::uint64_t repeat : {2, 3}) {
      RunResult more = arm.runs[0];
      more.repeat = repeat;
      for (SequenceResult& s : more.sequences) s.arrival_ns += repeat, s.begun_ns += repeat;
      arm.runs.push_back(more);
    }
    for (std::size_t i = 0; i < 3; ++i)
      arm.runs[i].figures["output_tokens_per_s"] = (arm.name == "a" ? 100.0 : 110.0) + static_cast<double>(i);
  }
  arms[1].runs[2].figures["output_tokens_per_s"] = 113;  // 10, 10 and 11 more
  const Comparison comparison = compared(arms, only({"first_token_mean_ms", "output_tokens_per_s"}));
  BOOST_TEST(comparison.sequences == 3000u);
  BOOST_CHECK_CLOSE(by(comparison, "first_token_mean_ms").difference, 4, 0.01);
  const Difference& rate = by(comparison, "output_tokens_per_s");
  BOOST_CHECK_CLOSE(rate.difference, 31.0 / 3, 0.01);
  BOOST_CHECK_CLOSE(rate.high - rate.difference, 4.3027 / 3,
                    0.01);  // Student's t of two degrees, standard error 1/3
  BOOST_TEST((rate.verdict == Verdict::better));
  BOOST_TEST(rate.compared == 3u);
}

// A trace is the same traffic whatever the seed: three repeats of it are no three times as many blocks.
BOOST_AUTO_TEST_CASE(repeats_of_the_same_arrivals_tell_no_more) {
  std::vector<ArmRuns> arms = queues(11, 3000, 0.9);
  const std::vector<std::string> keys = {"first_token_mean_ms", "first_token_p90_ms", "output_tokens_per_s"};
  const Comparison once = compared(arms, only(keys));
  for (ArmRuns& arm : arms) {
    arm.runs[0].figures["output_tokens_per_s"] = arm.name == "a" ? 100 : 90;
    arm.runs.resize(3, arm.runs[0]);
  }
  const Comparison thrice = compared(arms, only(keys));
  BOOST_TEST(thrice.repeats == 3u);
  BOOST_TEST(thrice.streams == 1u);
  BOOST_TEST(thrice.blocks == once.blocks);
  for (const char* key : {"first_token_mean_ms", "first_token_p90_ms"}) {
    BOOST_CHECK_CLOSE(by(thrice, key).low, by(once, key).low, 1e-6);
    BOOST_CHECK_CLOSE(by(thrice, key).high, by(once, key).high, 1e-6);
  }
  BOOST_TEST(by(thrice, "output_tokens_per_s").why == "1 stream of arrivals; 3 are needed");
}

// One run of three in which the machine was busy: by blocks alone the difference would be sure.
BOOST_AUTO_TEST_CASE(in_real_time_the_machines_moods_count) {
  std::vector<ArmRuns> arms = apart(3000, 0);
  for (ArmRuns& arm : arms) arm.runs.resize(3, arm.runs[0]);
  for (SequenceResult& s : arms[1].runs[1].sequences) s.first_token_ns += 30'000'000;
  CompareOptions options = only({"first_token_mean_ms"});
  BOOST_TEST((by(compared(arms, options), "first_token_mean_ms").verdict == Verdict::worse));
  options.real_time = true;
  const Comparison comparison = compared(arms, options);
  const Difference& d = by(comparison, "first_token_mean_ms");
  BOOST_TEST((d.verdict == Verdict::no_difference));
  BOOST_CHECK_CLOSE(d.high - d.low, 2 * 4.3027 * 10, 1);  // 0, 30 and 0: standard error 10
}

// Any machine must find these bits again.
BOOST_AUTO_TEST_CASE(intervals_are_fixed) {
  const std::vector<ArmRuns> arms = queues(7, 3000, 0.9);
  const Comparison comparison = compared(arms, only({"first_token_mean_ms", "first_token_p90_ms"}));
  const Difference &mean = by(comparison, "first_token_mean_ms"), &p90 = by(comparison, "first_token_p90_ms");
  const std::vector<double> found = {comparison.block_s, mean.low, mean.high, p90.low, p90.high};
  const std::vector<double> fixed = {0x1.76e0000000001p+2, 0x1.a24739fc8206p+1, 0x1.36d54645e267p+4,
                                     -0x1.22ac7da1ec5p+1, 0x1.f9f58d1526d88p+4};
  for (std::size_t i = 0; i < fixed.size(); ++i)
    BOOST_TEST(found[i] == fixed[i], fmt::format("{}: {:a}", i, found[i]));
}

BOOST_AUTO_TEST_CASE(arms_take_turns) {
  using Order = std::vector<std::size_t>;
  BOOST_TEST(order_of(2, 0) == (Order{0, 1}));
  BOOST_TEST(order_of(2, 1) == (Order{1, 0}));
  BOOST_TEST(order_of(2, 2) == (Order{1, 0}));
  BOOST_TEST(order_of(2, 3) == (Order{0, 1}));
  std::vector<int> first(3);
  for (std::size_t repeat = 0; repeat < 6; ++repeat) ++first[order_of(3, repeat)[0]];
  BOOST_TEST(first == (std::vector<int>{2, 2, 2}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::ab::test
