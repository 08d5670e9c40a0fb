// What this backend runs on and what it computes. Thread safety: functions of the device that is current.
#pragma once

#include <string>

#include "base/result.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

// The name of the current device: "NVIDIA H100 80GB HBM3". Fails where there is none that the kernels are compiled for.
Result<std::string> find_device();

// Fails by name on what the kernels do not compute.
Status check_architecture(const model::Architecture& architecture);

}  // namespace serveloop::execute::cuda
