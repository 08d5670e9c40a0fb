// From a calibration file's units to those of the engine: the cost model and the host model. Thread-safe.
#pragma once

#include <serveloop/cost.h>

#include <cstdint>

#include "base/virtual_clock.hpp"
#include "config/calibration.hpp"

namespace serveloop::rig {

sl_cost cost_of(const config::Calibration& calibration, std::uint32_t block_tokens);

// The work for a running sequence is charged half where its row is placed and half where its token is taken.
HostModel host_of(const config::Calibration& calibration);

}  // namespace serveloop::rig
