// A run that was logged, with looks at the mapping on the way, and its replay held against both.
#pragma once

#include <map>

#include "experiment/replay.hpp"
#include "fingerprint.hpp"
#include "stage.hpp"

namespace serveloop::test {

using experiment::ReplayOptions;
using experiment::ReplayResult;

struct Recorded {
  std::map<std::uint64_t, Fingerprint> whole, tables;  // after that many steps
  std::uint64_t steps = 0;
};

// A small engine that writes `run.slog`.
Scene logged(const char* executor, std::uint32_t lag, std::uint32_t blocks);
// Runs the stage's script to its end and finishes its log.
Recorded record(Stage& stage);
// Fails the test where there is none.
ReplayResult need(Result<ReplayResult> result);
// Replays the stage's log, with its policies asked again or with their recorded answers: all comes out equal.
void check_replay(const Stage& stage, const Recorded& recorded, bool recorded_answers);

}  // namespace serveloop::test
