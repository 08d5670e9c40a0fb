// An arm and the baseline by every metric of sequences, over all blocks of time or a resample of them. Not thread-safe.
#pragma once

#include <span>
#include <vector>

#include "experiment/ab/pairs.hpp"
#include "experiment/ab/sample.hpp"

namespace serveloop::experiment::ab {

class Paired {
 public:
  // `metrics`: those without a quantity are passed over, and have no value.
  Paired(std::span<const Pairs> runs, const Timeline& timeline, const std::vector<const Metric*>& metrics);

  struct Values {
    std::vector<double> baseline, arm;  // by metric; kNone: there is none
  };
  // `weights`: one a bin.
  void evaluate(std::span<const std::uint32_t> weights, Values& values);

  std::uint64_t compared(
      std::size_t metric) const;  // sequences of the baseline, or of the arm where it has fewer
  // Blocks that hold a sequence at or beyond the metric's percentile, of the arm that has fewer.
  std::size_t tail_blocks(std::size_t metric, const Values& whole) const;

 private:
  struct Group {  // of metrics of one quantity
    const Quantity* quantity;
    Sample baseline, arm;
    std::vector<std::size_t> means, ranked;  // metrics
    std::vector<double> percents;            // of `ranked`, ascending
  };
  void group(std::size_t metric);
  void add(const Pair& pair);
  std::size_t blocks_in(const std::vector<std::uint32_t>& bins) const;

  const Timeline& timeline_;
  const std::vector<const Metric*>& metrics_;
  std::vector<Group> groups_;
  std::vector<std::size_t> group_of_;  // by metric; no group: SIZE_MAX
  std::vector<double> found_;          // percentiles of one group
};

}  // namespace serveloop::experiment::ab
