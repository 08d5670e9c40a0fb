// Arms compared by the results of their runs: paired by request, with intervals by a bootstrap over blocks of time.
//
// A statistic of an arm, such as the p99 of the time to the first token, is taken over the sequences of all its runs; the
// difference is that of an arm less that of the baseline. To see how far chance alone may move it, blocks of time are drawn
// from each run, the same ones for both arms (Timeline), and the difference is taken again; the interval holds the middle
// of these differences, a little wider where blocks are few (Hesterberg, What teachers should know about the bootstrap,
// 2015). Repeats that meet the same arrivals, as those of a trace do whatever the seed, are drawn alike: they tell of other
// labels, and nothing of other traffic. A figure of a run as a whole has an interval by Student's t over the repeats. In real time a run has moods of its
// machine that no block shows, so an interval there is wide enough for both. Thread-safe: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "experiment/ab/metrics.hpp"
#include "experiment/ab/result.hpp"
#include "experiment/summary.hpp"

namespace serveloop::experiment::ab {

// Below these there is no verdict.
inline constexpr std::size_t kLeastBlocks = 10;  // of all runs
inline constexpr std::size_t kLeastBlocksARun = 4;
inline constexpr std::size_t kLeastSequences = 30;
inline constexpr double kLeastBeyond = 10;          // sequences beyond a percentile: 1,000 in all for a p99,
inline constexpr std::size_t kLeastTailBlocks = 5;  // in so many blocks
inline constexpr std::size_t kLeastRepeats = 3;  // in real time; of figures of runs, of other arrivals each

struct CompareOptions {
  double confidence = 0.95;
  std::uint32_t resamples = 2000;
  double warmup_s = 0;
  std::optional<double> block_s;
  std::vector<std::string> metrics;  // keys; empty: all that are not the same dull value everywhere
  bool real_time = false;
};

struct ArmRuns {
  std::string name;
  std::vector<RunResult> runs;  // a repeat each, the same ones for all arms
};

enum class Verdict : std::uint8_t { better, worse, no_difference, too_little_data };
const char* name_of(Verdict verdict);

// An arm by one metric. kNone: there is none.
struct Difference {
  const Metric* metric = nullptr;
  double baseline = kNone, value = kNone;                             // over the same sequences
  double difference = kNone, low = kNone, high = kNone;               // value - baseline, and its interval
  double percent = kNone, percent_low = kNone, percent_high = kNone;  // the same, of the baseline's value
  std::uint64_t compared = 0;                                         // sequences, or runs
  Verdict verdict = Verdict::too_little_data;
  std::string why;  // of too little data
};

struct ArmComparison {
  std::string name;
  std::vector<Difference> metrics;  // as in Comparison::metrics; of the baseline: its own values alone
  std::array<std::uint64_t, kOutcomes> outcomes{};
  std::uint64_t unfinished = 0, only_here = 0, only_baseline = 0;  // sequences; completed in one of the two
};

struct Comparison {
  std::size_t baseline = 0;  // which arm
  CompareOptions options;
  std::vector<const Metric*> metrics;
  std::vector<ArmComparison> arms;
  double block_s = 0;
  std::size_t blocks = 0;
  std::uint64_t sequences = 0;  // that arrived after the warm-up, of all repeats
  std::uint64_t repeats = 0,
                streams = 0;  // streams of arrivals: repeats by seed of a trace meet the same one
};

// Requires an arm, and as many runs of each. Fails where the runs are not of the same requests, or none is left to compare.
Result<Comparison> compare(const std::vector<ArmRuns>& arms, std::size_t baseline,
                           const CompareOptions& options);

}  // namespace serveloop::experiment::ab
