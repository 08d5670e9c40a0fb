#include "experiment/ab/interval.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiment/ab/student.hpp"

namespace serveloop::experiment::ab {

Interval middle(std::vector<double>& values, double tail) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  const auto cut = static_cast<std::size_t>(std::max(1.0, std::floor((n + 1) * tail))) - 1;
  return {values[cut], values[values.size() - 1 - cut]};
}

Interval by_student(const std::vector<double>& values, double confidence, std::size_t least) {
  if (values.size() < least) return {};
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double error = std::sqrt(squares / (n - 1) / n);  // of the mean
  const double reach = student_t(confidence, static_cast<unsigned>(values.size() - 1)) * error;
  return {mean - reach, mean + reach};
}

}  // namespace serveloop::experiment::ab
