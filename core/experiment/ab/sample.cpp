#include "experiment/ab/sample.hpp"

#include <algorithm>
#include <cmath>

#include "experiment/summary.hpp"

namespace serveloop::experiment::ab {

void Sample::add(std::uint32_t bin, double amount, double whole) {
  amounts_[bin] += amount;
  wholes_[bin] += whole;
  values_.push_back({amount, bin});
  sorted_ = false;
}

double Sample::mean(std::span<const std::uint32_t> weights) const {
  double amount = 0, whole = 0;
  for (std::size_t bin = 0; bin < amounts_.size(); ++bin) {
    amount += weights[bin] * amounts_[bin];
    whole += weights[bin] * wholes_[bin];
  }
  return whole > 0 ? amount / whole : kNone;
}

void Sample::percentiles(std::span<const std::uint32_t> weights, std::span<const double> percents,
                         std::span<double> out) {
  if (!sorted_)
    std::sort(values_.begin(), values_.end(), [](const Value& a, const Value& b) {
      return a.amount != b.amount ? a.amount < b.amount : a.bin < b.bin;
    });
  sorted_ = true;
  std::uint64_t total = 0;
  for (const Value& value : values_) total += weights[value.bin];
  std::uint64_t seen = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < percents.size(); ++i) {
    const double rank = std::ceil(percents[i] / 100 * static_cast<double>(total));
    const std::uint64_t wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
    while (at < values_.size() && seen + weights[values_[at].bin] < wanted)
      seen += weights[values_[at++].bin];
    out[i] = at < values_.size() ? values_[at].amount : kNone;
  }
}

std::vector<std::uint32_t> Sample::bins_from(double least) const {
  std::vector<std::uint32_t> bins;
  for (const Value& value : values_)
    if (value.amount >= least) bins.push_back(value.bin);
  std::sort(bins.begin(), bins.end());
  bins.erase(std::unique(bins.begin(), bins.end()), bins.end());
  return bins;
}

}  // namespace serveloop::experiment::ab
