// When steps ran, on the engine's clock. The device has a clock of its own, which only tells spans between events; so a
// step's end is the end before it and a span, held against the host's clock: a step ended before the host saw it, and
// where the host waited for it, at most kWake before. It began after it was submitted and after the one before ended.
// Thread safety: one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

class Timeline {
 public:
  struct Step {
    std::uint64_t start_ns = 0, end_ns = 0;
  };
  static constexpr std::uint64_t kWake = 50'000;  // from an event's end to the host that waits for it

  // Of a step that has ended: `waited`, whether it had not when the host came; `seen_ns`, the host's clock since.
  Result<Step> place(const Event& start, const Event& end, std::uint64_t submitted_ns, bool waited,
                     std::uint64_t seen_ns) {
    const Result<std::uint64_t> took = span(start.get(), end.get());
    if (!took) return tl::unexpected(took.error());
    std::uint64_t at = seen_ns;
    if (last_ != nullptr) {
      const Result<std::uint64_t> since = span(last_, end.get());
      if (!since) return tl::unexpected(since.error());
      at = last_ns_ + *since;
    }
    const std::uint64_t least = waited && seen_ns > kWake ? seen_ns - kWake : 0;
    Step step;
    step.end_ns = std::max(std::clamp(at, std::min(least, seen_ns), seen_ns), last_ns_);
    step.start_ns = step.end_ns > *took ? step.end_ns - *took : 0;
    step.start_ns = std::min(std::max({step.start_ns, submitted_ns, last_ns_}), step.end_ns);
    last_ = end.get();
    last_ns_ = step.end_ns;
    return step;
  }
  // A step without events: the next one is placed by the host's clock.
  void forget() { last_ = nullptr; }

 private:
  static Result<std::uint64_t> span(cudaEvent_t from, cudaEvent_t to) {
    float ms = 0;
    if (Status good = check(cudaEventElapsedTime(&ms, from, to), "CUDA event"); !good)
      return tl::unexpected(good.error());
    return static_cast<std::uint64_t>(std::max(0.0, static_cast<double>(ms) * 1e6));
  }

  cudaEvent_t last_ = nullptr;  // the end of the step before: not recorded again until this one is placed
  std::uint64_t last_ns_ = 0;
};

}  // namespace serveloop::execute::cuda
