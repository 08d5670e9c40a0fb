// A CPU as a device: reads the model that the configuration names, sizes the KV pool, makes the executor.
#pragma once

#include "rig/device.hpp"

namespace serveloop::rig {

// Blocks of the KV pool: as stated, or as many as the stated memory, or `default_bytes`, holds.
Result<std::uint32_t> pool_blocks(const config::Engine& engine, double block_bytes,
                                  std::uint64_t default_bytes);

Result<Device> cpu_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                          const Progress& progress);

}  // namespace serveloop::rig
