// What a run came to: latencies, throughput, decisions and causes, as the tables that `simulate` and `bench`
// print.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/output.hpp"

namespace serveloop::experiment {

// Counts of durations with a relative error below 1 %: 128 buckets to each power of two.
class Histogram {
 public:
  void add(std::uint64_t ns);
  std::uint64_t count() const { return count_; }
  double percentile_ms(double p) const;  // 0 .. 100; 0 when empty

 private:
  static constexpr std::size_t kBuckets = 128 * 58;
  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kBuckets);
  std::uint64_t count_ = 0;
};

struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0, max = 0;  // ms
};
Percentiles percentiles(std::vector<std::uint64_t> ns);

struct Summary {
  std::string name, policies;
  engine::Counters counters;
  std::uint64_t completed = 0, rejected = 0, cancelled = 0, deadline = 0, failed = 0, dropped = 0,
                unfinished = 0;
  Percentiles first_token, end_to_end;
  double between_p50 = 0, between_p90 = 0, between_p99 = 0;  // ms
  double longest_gap_p99 = 0;                                // ms
  double seconds = 0, wall_seconds = 0;                      // of the engine's clock; of this machine
  observe::Times causes{};                                   // sums over all ended sequences
  std::vector<std::string> incidents;
  std::vector<std::string> missed;  // planned swaps that did not happen, a line each
};

// Collects a run's ends and gaps.
class Recorder final : public engine::Output {
 public:
  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;
  // Fills in all but name, counters and times.
  void summarise(Summary& summary) const;
  const std::vector<engine::Finished>& ends() const { return ends_; }
  // Ends since the last call, for closed loops.
  std::vector<engine::Finished> take_new();

 private:
  std::vector<engine::Finished> ends_;
  std::size_t taken_ = 0;
  Histogram gaps_;
};

// One column a run; rows that are zero everywhere are left out.
std::string table(const std::vector<Summary>& runs);
std::string to_json(const std::vector<Summary>& runs);

}  // namespace serveloop::experiment
