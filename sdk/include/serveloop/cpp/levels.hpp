// Levels of a multi-level feedback queue (Corbató, Merwin-Daggett and Daley, 1962): who has used up a level's share of device
// time goes down to the next, whose share is `growth` times as large.
//
// A level follows from what a sequence was served alone, so nothing has to be kept of it.
#pragma once

#include <serveloop/cpp/plugin.hpp>

namespace sl {

class Levels {
 public:
  // Its manifest declares the number options `quantum_ms` and `growth` and the integer option `levels`.
  explicit Levels(const Setup& setup)
      : quantum_ns_(setup.number("quantum_ms") * 1e6),
        growth_(setup.number("growth")),
        count_(static_cast<uint32_t>(setup.integer("levels"))) {}

  // The first level whose share is as much: where one enters whose prefill takes that long (skip-join: Wu et al., FastServe,
  // 2023).
  uint32_t holding(double ns) const {
    uint32_t level = 0;
    for (double share = quantum_ns_; level + 1 < count_ && share < ns; share *= growth_) ++level;
    return level;
  }
  // Where one stands that entered at `from` and was served for `ns` since then.
  uint32_t after(double ns, uint32_t from = 0) const {
    double share = quantum_ns_;
    for (uint32_t above = 0; above < from; ++above) share *= growth_;
    uint32_t level = from;
    for (; level + 1 < count_ && share <= ns; share *= growth_) {
      ns -= share;
      ++level;
    }
    return level;
  }

 private:
  double quantum_ns_, growth_;
  uint32_t count_;
};

}  // namespace sl
