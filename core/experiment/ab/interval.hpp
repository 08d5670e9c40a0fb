// Two ways to an interval: the middle of what resamples gave, and Student's about a mean. Thread-safe: pure functions.
#pragma once

#include <vector>

#include "experiment/summary.hpp"

namespace serveloop::experiment::ab {

struct Interval {
  double low = kNone, high = kNone;
};

// All but a share `tail` of the values at either end. Sorts them. None of no values.
Interval middle(std::vector<double>& values, double tail);
// About the mean of a few independent values; none of fewer than `least`.
Interval by_student(const std::vector<double>& values, double confidence, std::size_t least);

}  // namespace serveloop::experiment::ab
