#include "base/virtual_clock.hpp"

#include <utility>

namespace serveloop {

void VirtualClock::charge(Phase phase, std::uint32_t rows) {
  const HostModel::Cost none;
  const HostModel::Cost& cost = phase == Phase::tokens   ? model_.tokens
                                : phase == Phase::policy ? model_.policy
                                : phase == Phase::other  ? model_.other
                                                         : none;
  now_ += static_cast<std::uint64_t>(cost.fixed_ns + cost.row_ns * static_cast<double>(rows)) +
          std::exchange(delay_[static_cast<std::size_t>(phase)], 0);
}

}  // namespace serveloop
