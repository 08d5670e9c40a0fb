#include "experiment/ab/block_length.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace serveloop::experiment::ab {

namespace {

// Autocovariances at lags 0 to `most`, each run about its own mean.
std::vector<double> autocovariances(const std::vector<std::vector<double>>& runs, std::size_t most,
                                    std::size_t steps) {
  std::vector<double> out(most + 1, 0.0);
  for (const std::vector<double>& run : runs) {
    if (run.empty()) continue;
    const double mean = std::accumulate(run.begin(), run.end(), 0.0) / static_cast<double>(run.size());
    for (std::size_t lag = 0; lag <= most && lag < run.size(); ++lag)
      for (std::size_t i = lag; i < run.size(); ++i) out[lag] += (run[i] - mean) * (run[i - lag] - mean);
  }
  for (double& value : out) value /= static_cast<double>(steps);
  return out;
}

// The last lag before `in_a_row` that are no more than noise; without such a place, the last that is more.
std::size_t correlated_to(const std::vector<double>& covariance, std::size_t in_a_row, double noise) {
  std::size_t quiet = 0, last = 0;
  for (std::size_t lag = 1; lag < covariance.size(); ++lag) {
    if (std::abs(covariance[lag]) > noise * covariance[0]) {
      quiet = 0;
      last = lag;
    } else if (++quiet == in_a_row) {
      break;
    }
  }
  return last;
}

// Flat in the middle, then falling to 0 at the ends (Politis and Romano, 1995).
double flat_top(double x) { return x <= 0.5 ? 1 : x <= 1 ? 2 * (1 - x) : 0; }

}  // namespace

double block_length(const std::vector<std::vector<double>>& runs) {
  std::size_t steps = 0, longest = 0;
  for (const std::vector<double>& run : runs) {
    steps += run.size();
    longest = std::max(longest, run.size());
  }
  if (longest < 4) return 0;
  const double n = static_cast<double>(steps), digits = std::log10(n);
  const auto in_a_row = static_cast<std::size_t>(std::max(5.0, std::ceil(std::sqrt(digits))));
  const std::size_t most =
      std::min(static_cast<std::size_t>(std::ceil(std::sqrt(n))) + in_a_row, longest - 1);
  const std::vector<double> covariance = autocovariances(runs, most, steps);
  if (covariance[0] <= 0) return 0;
  const std::size_t last = correlated_to(covariance, in_a_row, 2 * std::sqrt(digits / n));
  if (last == 0) return 0;
  const std::size_t reach = std::min(2 * last, most);
  double sum = covariance[0], slope = 0;
  for (std::size_t lag = 1; lag <= reach; ++lag) {
    const double part = flat_top(static_cast<double>(lag) / static_cast<double>(reach)) * covariance[lag];
    sum += 2 * part;
    slope += 2 * part * static_cast<double>(lag);
  }
  // A sum near 0 or below says that highs and lows cancel out; then what is left of the estimate is noise.
  sum = std::max(sum, covariance[0]);
  return std::cbrt(1.5 * slope * slope / (sum * sum) * n);
}

}  // namespace serveloop::experiment::ab
