// How many workers a run takes: all, or fewer while somebody else has their cores.
//
// A run that is shared among n ends with the last of them. Where a core is busy otherwise, its worker comes late by time
// slices of milliseconds, and the others wait at each barrier. Half as many workers need twice the computing time and
// less of the waiting; so they are the better half once worker 0 sleeps more than half of a run. They are asked alone
// for a while, then all are tried again. Results do not depend on it.
//
// Thread safety: none; it belongs to worker 0.
#pragma once

#include <algorithm>
#include <cstdint>

namespace serveloop::execute::cpu {

class Crew {
 public:
  // Sums cover about a fifth of a second: one slow moment sends nobody home.
  static constexpr std::uint64_t kMemoryNs = 200'000'000;
  static constexpr std::uint64_t kTrialNs = 20'000'000;  // what tells at least
  static constexpr std::uint64_t kRest = 20;  // times the trial that failed: trials take a twentieth

  explicit Crew(unsigned most) : most_(most), workers_(most) {}

  unsigned workers() const { return workers_; }

  // A run of workers() took `wall_ns`, of which worker 0 slept `late_ns` for others.
  void ran(std::uint64_t wall_ns, std::uint64_t late_ns) {
    wall_ns_ += wall_ns;
    late_ns_ += late_ns;
    if (workers_ > 1 && wall_ns_ >= kTrialNs && late_ns_ > wall_ns_ / 2)
      change(workers_ / 2, kRest * wall_ns_);
    else if (workers_ < most_ && wall_ns_ >= rest_ns_)
      change(std::min(2 * workers_, most_), 0);
    else if (workers_ == most_ && wall_ns_ >= kMemoryNs)
      wall_ns_ /= 2, late_ns_ /= 2;
  }

 private:
  void change(unsigned workers, std::uint64_t rest_ns) {
    workers_ = workers;
    rest_ns_ = rest_ns;
    wall_ns_ = late_ns_ = 0;
  }

  unsigned most_, workers_;
  std::uint64_t wall_ns_ = 0, late_ns_ = 0;  // of runs by so many
  std::uint64_t rest_ns_ = 0;                // until more are tried
};

}  // namespace serveloop::execute::cpu
