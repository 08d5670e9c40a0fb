// A GPU as a device: reads the model that the configuration names, uploads it, sizes the KV pool by what is left.
#pragma once

#include "rig/device.hpp"

namespace serveloop::rig {

// Fails where this program was built without CUDA, where there is no Hopper GPU, and where its memory is short.
Result<Device> cuda_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                           const Progress& progress);

}  // namespace serveloop::rig
