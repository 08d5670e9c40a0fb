#include "experiment/arrivals.hpp"

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {

std::uint64_t ns_of(double seconds) {
  return static_cast<std::uint64_t>(std::llround(std::clamp(seconds, 0.0, 9e9) * 1e9));
}

// Rates q outside and f q in bursts keep the mean: q (every - length) + f q length = every.
BurstClock::BurstClock(const config::Bursts& bursts)
    : every_ns_(ns_of(bursts.every_s)), quiet_ns_(every_ns_ - std::min(every_ns_, ns_of(bursts.length_s))) {
  if (every_ns_ == 0) return;
  const auto every = static_cast<double>(every_ns_), quiet = static_cast<double>(quiet_ns_);
  quiet_rate_ = every / (quiet + bursts.factor * (every - quiet));
  burst_rate_ = bursts.factor * quiet_rate_;
}

std::uint64_t BurstClock::operator()(std::uint64_t steady_ns) const {
  if (every_ns_ == 0) return steady_ns;
  const std::uint64_t begun = steady_ns / every_ns_ * every_ns_;
  const auto at = static_cast<double>(steady_ns - begun), quiet = static_cast<double>(quiet_ns_),
             every = static_cast<double>(every_ns_);
  const double before = quiet * quiet_rate_;  // of the steady period, what falls before the burst
  // Cut at the borders, so that rounding takes nothing past one.
  const double moved = at < before ? std::min(at / quiet_rate_, quiet)
                                   : std::clamp(quiet + (at - before) / burst_rate_, quiet, every);
  return begun + static_cast<std::uint64_t>(std::floor(moved + 0.5));
}

OpenArrivals::OpenArrivals(const config::Workload& config)
    : gamma_(config.arrival == "gamma"),
      mean_s_(1 / config.rate_per_second.value_or(1)),
      cv_(config.cv),
      rate_scale_(config.rate_scale),
      gap_(config.seed, "gap"),
      clock_(config.bursts) {}

std::uint64_t OpenArrivals::next_ns(std::uint64_t i) {
  const double gap_s = gamma_ ? gap_.gamma(i, mean_s_, cv_) : gap_.exponential(i, mean_s_);
  last_ns_ += ns_of(gap_s / rate_scale_);
  return clock_(last_ns_);
}

}  // namespace serveloop::experiment
