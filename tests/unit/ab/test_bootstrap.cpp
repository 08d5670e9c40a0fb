// The promise of an interval: on requests whose latencies depend on those before, it holds the truth as often as it says,
// and a bootstrap request by request does not.
#include <map>

#include "../../sanitized.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::ab::test {

namespace {

const std::vector<std::string> kMetrics = {"first_token_mean_ms", "first_token_p50_ms", "first_token_p90_ms",
                                           "first_token_p99_ms"};
constexpr std::uint64_t kExperiments = serveloop::test::kUnderAsan ? 40 : 200;
constexpr std::size_t kRequests = 6000;  // 600 s
constexpr double kMemory = 0.98;         // a request's latency is alike for 5 s

struct Count {
  std::uint64_t held = 0, verdicts = 0, found = 0;  // 0 in the interval; not too little data; better or worse
  double share() const { return static_cast<double>(held) / static_cast<double>(verdicts); }
};

std::map<std::string, Count> count(const CompareOptions& options, double factor, std::uint64_t experiments) {
  std::map<std::string, Count> counts;
  for (std::uint64_t seed = 1; seed <= experiments; ++seed) {
    const Comparison comparison = compared(queues(seed, kRequests, kMemory, factor), options);
    for (const std::string& key : kMetrics) {
      const Difference& d = by(comparison, key);
      Count& c = counts[key];
      if (d.verdict == Verdict::too_little_data) continue;
      ++c.verdicts;
      c.held += d.low <= 0 && d.high >= 0;
      c.found += d.verdict == Verdict::worse;
    }
  }
  return counts;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bootstrap)

BOOST_AUTO_TEST_CASE(intervals_hold_the_truth) {
  for (const auto& [key, c] : count(only(kMetrics), 1, kExperiments)) {
    BOOST_TEST_MESSAGE(key << ": " << c.held << " of " << c.verdicts);
    BOOST_TEST_CONTEXT(key << ": " << c.held << " of " << c.verdicts) {
      BOOST_TEST(c.verdicts >= kExperiments * 3 / 4);
      BOOST_TEST(c.share() >= 0.9);
    }
  }
}

// Were requests drawn one by one, as if none knew of the others.
BOOST_AUTO_TEST_CASE(without_blocks_they_would_not) {
  CompareOptions naive = only(kMetrics, 200);
  naive.block_s = 0.1;  // one request
  for (const auto& [key, c] : count(naive, 1, kExperiments / 4)) {
    BOOST_TEST_MESSAGE(key << ": " << c.held << " of " << c.verdicts);
    if (key != "first_token_p99_ms") BOOST_TEST(c.share() < 0.75, key << ": " << c.share());
  }
}

BOOST_AUTO_TEST_CASE(an_effect_is_found) {
  const auto counts = count(only(kMetrics), 1.25, kExperiments / 2);
  for (const char* key : {"first_token_mean_ms", "first_token_p50_ms"}) {
    const Count& c = counts.at(key);
    BOOST_TEST_MESSAGE(key << ": " << c.found << " of " << c.verdicts);
    BOOST_TEST(c.found * 10 >= c.verdicts * 9, key << ": " << c.found << " of " << c.verdicts);
  }
}

BOOST_AUTO_TEST_CASE(the_same_twice_is_no_difference) {
  std::vector<ArmRuns> arms = queues(1, kRequests, kMemory);
  arms[1].runs = arms[0].runs;
  const Comparison comparison = compared(arms, {});
  BOOST_TEST(!comparison.metrics.empty());
  for (const Difference& d : comparison.arms[1].metrics) {
    if (d.metric->quantity == nullptr) continue;
    BOOST_TEST_CONTEXT(d.metric->key) {
      BOOST_TEST(d.difference == 0);
      BOOST_TEST(d.low == 0);
      BOOST_TEST(d.high == 0);
      BOOST_TEST(name_of(d.verdict) == std::string("no difference found"));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::ab::test
