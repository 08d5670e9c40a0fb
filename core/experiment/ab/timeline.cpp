#include "experiment/ab/timeline.hpp"

#include <algorithm>
#include <cmath>

namespace serveloop::experiment::ab {

Timeline::Timeline(std::span<const double> spans_s, double bin_s, std::uint32_t block_bins)
    : bin_s_(bin_s), block_bins_(block_bins), first_{0}, draws_(0) {
  for (const double span_s : spans_s) {
    const auto bins = static_cast<std::uint32_t>(std::max(1.0, std::ceil(span_s / bin_s)));
    first_.push_back(first_.back() + bins);
    draws_ += (bins + block_bins - 1) / block_bins;
  }
}

std::uint32_t Timeline::bin_at(std::size_t run, double at_s) const {
  const double bin = std::clamp(std::floor(at_s / bin_s_), 0.0, static_cast<double>(bins_of(run) - 1));
  return first_[run] + static_cast<std::uint32_t>(bin);
}

std::size_t Timeline::blocks() const {
  std::size_t sum = 0;
  for (std::size_t run = 0; run < runs(); ++run) sum += bins_of(run) / block_bins_;
  return sum;
}

std::size_t Timeline::fewest_blocks() const {
  std::uint32_t fewest = UINT32_MAX;
  for (std::size_t run = 0; run < runs(); ++run) fewest = std::min(fewest, bins_of(run) / block_bins_);
  return fewest;
}

void Timeline::draw(std::uint64_t resample, std::span<std::uint32_t> weights) const {
  std::fill(weights.begin(), weights.end(), 0);
  std::uint64_t next = resample * draws_;
  for (std::size_t run = 0; run < runs(); ++run) {
    const std::uint32_t bins = bins_of(run);
    for (std::uint32_t drawn = 0; drawn < bins;) {
      auto at = static_cast<std::uint32_t>(random_.uniform(next++, 0, bins - 1));
      for (std::uint32_t i = 0; i < block_bins_ && drawn < bins; ++i, ++drawn) {
        ++weights[first_[run] + at];
        at = at + 1 == bins ? 0 : at + 1;
      }
    }
  }
}

}  // namespace serveloop::experiment::ab
