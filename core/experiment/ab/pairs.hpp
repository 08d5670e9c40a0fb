// The sequences of two arms side by side, and the blocks of time that they are drawn in. Plain values; pure functions.
#pragma once

#include <optional>
#include <vector>

#include "experiment/ab/compare.hpp"
#include "experiment/ab/timeline.hpp"

namespace serveloop::experiment::ab {

// One sequence in the baseline and in another arm; null where it did not end there. Never both.
struct Pair {
  const SequenceResult *baseline = nullptr, *arm = nullptr;
  double at_s = 0;        // when it began in the baseline (else in the arm), after the warm-up
  std::uint32_t bin = 0;  // of the timeline

  bool completed_in_both() const {
    return baseline != nullptr && arm != nullptr && baseline->outcome == Outcome::completed &&
           arm->outcome == Outcome::completed;
  }
};
using Pairs = std::vector<Pair>;  // of a run, by request and fork

// Those that begin after the warm-up: a session or program with all its calls, when the first of them arrives, which no arm
// moves. Fails where two of the same number are not the same request.
Result<Pairs> pairs_of(const RunResult& baseline, const RunResult& arm, double warmup_s);

// Which runs meet the same arrivals, as those of a trace do whatever the seed: of each run the number of its stream, from 0
// on. What is drawn of a stream is drawn of all its runs, since they know nothing of other traffic.
std::vector<std::size_t> streams_of(const std::vector<RunResult>& runs);

// `arms`: the pairs of each arm that is compared, a list a run; `streams`: of each run. Sets each pair's bin. Without block_s,
// blocks are as long as the longest that the differences of latencies ask for. Requires a pair.
Timeline timeline_of(std::vector<std::vector<Pairs>>& arms, const std::vector<std::size_t>& streams,
                     std::optional<double> block_s);

}  // namespace serveloop::experiment::ab
