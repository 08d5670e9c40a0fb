// When the requests of an open loop arrive: a process drawn from a seed, faster or slower by `rate_scale`, and bursts.
// Bursts are a change of the clock alone: whatever arrives, from a trace or a process, keeps its order, and in each
// whole period as many arrive as did without. Thread-safe but for OpenArrivals, which counts.
#pragma once

#include <cstdint>

#include "config/workload.hpp"
#include "experiment/draw.hpp"

namespace serveloop::experiment {

// Times of a steady stream to those of one with bursts. A period is mapped onto itself in two straight pieces, of which the
// second, the burst, is `factor` times as steep in arrivals a second.
class BurstClock {
 public:
  explicit BurstClock(const config::Bursts& bursts);
  std::uint64_t operator()(std::uint64_t steady_ns) const;  // does not fall where its argument does not

 private:
  std::uint64_t every_ns_, quiet_ns_;       // of a period, and of its part before the burst; 0: no bursts
  double quiet_rate_ = 1, burst_rate_ = 1;  // arrivals a second, over the mean
};

// Poisson or gamma arrivals at a mean rate. Requires `rate_per_second`.
class OpenArrivals {
 public:
  explicit OpenArrivals(const config::Workload& config);
  // The time of arrival i. Call it once for each i, in order.
  std::uint64_t next_ns(std::uint64_t i);

 private:
  bool gamma_;
  double mean_s_, cv_, rate_scale_;
  Draws gap_;
  BurstClock clock_;
  std::uint64_t last_ns_ = 0;  // steady
};

// Seconds as nanoseconds, cut to [0, 9e9 s].
std::uint64_t ns_of(double seconds);

}  // namespace serveloop::experiment
