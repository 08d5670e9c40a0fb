#include "experiment/ab/paired.hpp"

#include <algorithm>

namespace serveloop::experiment::ab {

Paired::Paired(std::span<const Pairs> runs, const Timeline& timeline,
               const std::vector<const Metric*>& metrics)
    : timeline_(timeline), metrics_(metrics), group_of_(metrics.size(), SIZE_MAX) {
  for (std::size_t i = 0; i < metrics.size(); ++i)
    if (metrics[i]->quantity != nullptr) group(i);
  for (const Pairs& pairs : runs)
    for (const Pair& pair : pairs) add(pair);
}

// Metrics of one quantity stand together, their percentiles ascending.
void Paired::group(std::size_t metric) {
  const Metric& m = *metrics_[metric];
  auto at =
      std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) { return g.quantity == m.quantity; });
  if (at == groups_.end())
    at = groups_.insert(at, {m.quantity, Sample(timeline_.bins()), Sample(timeline_.bins()), {}, {}, {}});
  group_of_[metric] = static_cast<std::size_t>(at - groups_.begin());
  if (m.percentile == 0) {
    at->means.push_back(metric);
    return;
  }
  const auto place =
      std::lower_bound(at->percents.begin(), at->percents.end(), m.percentile) - at->percents.begin();
  at->percents.insert(at->percents.begin() + place, m.percentile);
  at->ranked.insert(at->ranked.begin() + place, metric);
}

void Paired::add(const Pair& pair) {
  for (Group& g : groups_) {
    if (g.quantity->population == Population::both && !pair.completed_in_both()) continue;
    if (const auto share = g.quantity->share(pair.baseline))
      g.baseline.add(pair.bin, share->amount, share->whole);
    if (const auto share = g.quantity->share(pair.arm)) g.arm.add(pair.bin, share->amount, share->whole);
  }
}

void Paired::evaluate(std::span<const std::uint32_t> weights, Values& values) {
  values.baseline.assign(metrics_.size(), kNone);
  values.arm.assign(metrics_.size(), kNone);
  for (Group& g : groups_)
    for (const auto& [sample, out] :
         {std::pair(&g.baseline, &values.baseline), std::pair(&g.arm, &values.arm)}) {
      for (const std::size_t metric : g.means) (*out)[metric] = sample->mean(weights);
      found_.resize(g.percents.size());
      if (!g.percents.empty()) sample->percentiles(weights, g.percents, found_);
      for (std::size_t i = 0; i < g.ranked.size(); ++i) (*out)[g.ranked[i]] = found_[i];
    }
}

std::uint64_t Paired::compared(std::size_t metric) const {
  if (group_of_[metric] == SIZE_MAX) return 0;
  const Group& g = groups_[group_of_[metric]];
  return std::min(g.baseline.size(), g.arm.size());
}

// Blocks as the timeline's runs are cut from their starts on.
std::size_t Paired::blocks_in(const std::vector<std::uint32_t>& bins) const {
  std::size_t blocks = 0, run = 0, last = SIZE_MAX;
  for (const std::uint32_t bin : bins) {
    while (run + 1 < timeline_.runs() && bin >= timeline_.first_bin(run + 1)) ++run, last = SIZE_MAX;
    const std::size_t block = (bin - timeline_.first_bin(run)) / timeline_.block_bins();
    if (block != last) ++blocks;
    last = block;
  }
  return blocks;
}

std::size_t Paired::tail_blocks(std::size_t metric, const Values& whole) const {
  const Group& g = groups_[group_of_[metric]];
  return std::min(blocks_in(g.baseline.bins_from(whole.baseline[metric])),
                  blocks_in(g.arm.bins_from(whole.arm[metric])));
}

}  // namespace serveloop::experiment::ab
