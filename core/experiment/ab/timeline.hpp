// Time cut into bins, and the circular block bootstrap over them (Politis and Romano, A circular block-resampling procedure
// for stationary data, 1992; blocks that overlap: Kuensch 1989).
//
// A resample gives each bin the number of times that it was drawn: blocks of neighbouring bins, from any bin on, round from
// a run's end to its start, until each run is as long as it was. Whoever weighs with the same numbers is paired. Thread-safe:
// const throughout.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "experiment/draw.hpp"

namespace serveloop::experiment::ab {

class Timeline {
 public:
  // `spans_s`: of each run, from the first moment that counts to the last. Requires a span, and bin_s > 0, block_bins > 0.
  Timeline(std::span<const double> spans_s, double bin_s, std::uint32_t block_bins);

  std::size_t bins() const { return first_.back(); }  // of all runs
  std::size_t runs() const { return first_.size() - 1; }
  std::uint32_t bins_of(std::size_t run) const { return first_[run + 1] - first_[run]; }
  std::uint32_t first_bin(std::size_t run) const { return first_[run]; }
  // Of a moment of a run; what lies beyond its end is in its last bin.
  std::uint32_t bin_at(std::size_t run, double at_s) const;

  std::uint32_t block_bins() const { return block_bins_; }
  double bin_s() const { return bin_s_; }
  double block_s() const { return bin_s_ * block_bins_; }
  std::size_t blocks() const;         // that are whole, of all runs
  std::size_t fewest_blocks() const;  // of a run

  // Number `resample`, the same whenever it is drawn. `weights`: one a bin.
  void draw(std::uint64_t resample, std::span<std::uint32_t> weights) const;

 private:
  double bin_s_;
  std::uint32_t block_bins_;
  std::vector<std::uint32_t> first_;  // bin of each run, then the number of all
  std::uint64_t draws_;               // of a resample
  Draws random_{1, "blocks of time"};
};

}  // namespace serveloop::experiment::ab
