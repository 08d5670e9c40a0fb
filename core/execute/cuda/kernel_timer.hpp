// The time of launches on the device, without the host's. Thread safety: one caller at a time.
#pragma once

#include <functional>

#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

// Enqueues a launch on the stream; gets the launch's number, to take turns among inputs.
using Launcher = std::function<Status(cudaStream_t, int)>;

// Microseconds of one launch, of `launches` in a row that are captured as a graph: the median of seven replays, after
// 20 ms of them that do not count.
Result<double> time_us(const Launcher& launch, int launches);

}  // namespace serveloop::execute::cuda
