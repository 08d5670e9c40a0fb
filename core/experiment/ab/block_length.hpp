// How long a block of time must be for a bootstrap to keep what belongs together.
//
// Requests that arrive soon after each other meet the same queue, so their latencies are alike. Politis and White (Automatic
// block-length selection for the dependent bootstrap, 2004, corrected by Patton, Politis and White, 2009) estimate, from the
// series' own autocorrelation, the length that gives the variance of a mean its least error; here for circular blocks.
// Thread-safe: pure functions.
#pragma once

#include <vector>

namespace serveloop::experiment::ab {

// In steps of the series, 0 where nothing depends on what was before. `runs`: stretches of one process, each by itself.
double block_length(const std::vector<std::vector<double>>& runs);

}  // namespace serveloop::experiment::ab
