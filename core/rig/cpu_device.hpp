// A CPU as a device: reads the model that the configuration names, sizes the KV pool, makes the executor.
#pragma once

#include "rig/device.hpp"

namespace serveloop::rig {

Result<Device> cpu_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                          const Progress& progress);

}  // namespace serveloop::rig
