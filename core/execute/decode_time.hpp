// What a step's decodes would take without the prefill beside them: an estimate from steps of decodes alone.
//
// Such steps are kept by the power of two that their number of decodes lies in: a moving average with weight 1/8, a
// first value as it is. A step's estimate is that of its own power of two, else of the nearest smaller one seen, else of
// the nearest larger; before any was seen, the decodes' share of the step's tokens. Never more than the step took.
// Contexts are not told apart: the average follows as they grow. Thread safety: one thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace serveloop::execute {

class DecodeTime {
 public:
  // Of a step of `decodes` and `prefill_tokens` that took `ns`; learns from it.
  std::uint64_t of(std::uint32_t decodes, std::uint32_t prefill_tokens, std::uint64_t ns) {
    if (decodes == 0) return 0;
    const std::uint64_t known = estimate(decodes);
    if (prefill_tokens == 0) learn(decodes, ns);
    if (known != 0) return std::min(known, ns);
    return static_cast<std::uint64_t>(static_cast<double>(ns) * decodes /
                                      (static_cast<double>(decodes) + prefill_tokens));
  }

 private:
  std::uint64_t estimate(std::uint32_t decodes) const {  // 0: nothing known
    const auto own = static_cast<std::size_t>(std::bit_width(decodes));
    for (std::size_t i = own; i > 0; --i)
      if (average_[i] != 0) return average_[i];
    for (std::size_t i = own + 1; i < average_.size(); ++i)
      if (average_[i] != 0) return average_[i];
    return 0;
  }
  void learn(std::uint32_t decodes, std::uint64_t ns) {
    std::uint64_t& average = average_[static_cast<std::size_t>(std::bit_width(decodes))];
    average = average == 0 ? ns : average - average / 8 + ns / 8;
  }

  std::array<std::uint64_t, 33> average_{};  // by bit width of the number of decodes
};

}  // namespace serveloop::execute
