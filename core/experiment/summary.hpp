// What a run came to: latencies, throughput, decisions and causes, as the tables that `simulate` and `bench`
// print.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/kv_use.hpp"
#include "engine/output.hpp"
#include "rig/plugin_mark.hpp"

namespace serveloop::experiment {

// "There is none": shown as "-", in JSON as null.
inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// Counts of durations with a relative error below 1 %: 128 buckets to each power of two.
class Histogram {
 public:
  void add(std::uint64_t ns);
  std::uint64_t count() const { return count_; }
  double percentile_ms(double p) const;  // 0 .. 100; kNone when empty

 private:
  static constexpr std::size_t kBuckets = 128 * 58;
  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kBuckets);
  std::uint64_t count_ = 0;
};

struct Percentiles {
  double p50 = kNone, p90 = kNone, p99 = kNone, max = kNone;  // ms
};
Percentiles percentiles(std::vector<std::uint64_t> ns);

// Of sequences that state deadlines, how many met all of theirs.
struct Goodput {
  std::uint64_t stated = 0, met = 0;
};

// The sequences that carry one label.
struct LabelFigures {
  std::string label;  // "" = none
  std::uint64_t ended = 0, completed = 0;
  Goodput goodput;
  Percentiles first_token, end_to_end;
  double per_token_ms = kNone;  // end to end, divided by the output tokens: mean
};

// Sessions or programs. Completed: every call came whole; their time is from the first arrival to the last end.
struct ChainFigures {
  bool programs = false;
  std::uint64_t completed = 0, broken = 0;
  Percentiles time;
  double mean_ms = kNone;
};

// What would have to be the same for the same figures.
struct Origin {
  std::string config_toml;  // whole, with what overrides and defaults made of it; keys are masked
  std::uint64_t seed = 0, engine_seed = 0;  // of the workload, of policies
  std::vector<rig::PluginMark> plugins;     // loaded at the start, then those swapped in, by step
  std::vector<std::string> swaps;           // as they were asked for
};

// Means over a run's time of what the KV pool was used for.
class PoolUse {
 public:
  void add(const engine::KvUse& use, std::uint64_t for_ns);  // it was so for so long
  double held() const { return share(held_); }               // shares of the pool; kNone where no time passed
  double unfilled() const { return share(unfilled_); }
  double fragmented() const { return share(fragmented_); }
  double running() const;  // sequences

 private:
  double share(double token_ns) const { return pool_ > 0 ? token_ns / pool_ : kNone; }
  double pool_ = 0, held_ = 0, unfilled_ = 0, fragmented_ = 0, running_ = 0, ns_ = 0;  // sums over time
};

struct Summary {
  std::string name;
  std::vector<std::string> policies;  // one a place: gates, scheduler, eviction, ...; "fcfs -> sarathi"
  Origin origin;
  bool interrupted = false;
  std::string first_dropped;  // which request, and why
  engine::Counters counters;
  std::vector<engine::Decision> decisions;
  std::uint64_t completed = 0, rejected = 0, cancelled = 0, deadline = 0, failed = 0, dropped = 0,
                unfinished = 0;
  Percentiles first_token, end_to_end;
  double between_p50 = kNone, between_p90 = kNone, between_p99 = kNone;  // ms
  double longest_gap_p99 = kNone, longest_gap = kNone;                   // ms; of all requests: the longest
  PoolUse pool;
  double seconds = 0, wall_seconds = 0;  // of the engine's clock; of this machine
  double host_seconds = kNone;  // of this machine, in steps; under a real executor they wait, too: none
  observe::Times causes{};      // sums over all ended sequences
  Goodput goodput;
  std::optional<ChainFigures> chains;
  double fairness = kNone;                     // among tenants: by_label.hpp
  std::vector<LabelFigures> classes, tenants;  // by name; empty where nothing tells them apart
  std::vector<std::string> incidents;
  std::vector<std::string> missed;  // planned swaps that did not happen, a line each
};

// Collects a run's ends and gaps.
class Recorder final : public engine::Output {
 public:
  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;
  // Fills in ends, latencies and causes.
  void summarise(Summary& summary) const;
  const std::vector<engine::Finished>& ends() const { return ends_; }
  // Ends since the last call, for closed loops.
  std::vector<engine::Finished> take_new();
  // From now on what each request's first sequence generated is kept until it is taken.
  void keep_generated() { keeps_generated_ = true; }
  std::vector<requests::Token> take_generated(std::uint64_t request);

 private:
  std::vector<engine::Finished> ends_;
  std::size_t taken_ = 0;
  bool keeps_generated_ = false;
  std::unordered_map<std::uint64_t, std::vector<requests::Token>> generated_;
  Histogram gaps_;
};

// One column a run. Rows of what need not happen are left out where they are 0 in every column. Columns that
// `width` characters do not hold follow in a block below (0: no limit). Below them a line for each class and
// tenant.
std::string table(const std::vector<Summary>& runs, std::size_t width = 0);
std::string to_json(const std::vector<Summary>& runs);

}  // namespace serveloop::experiment
