// What this device can do at most: a read and a copy of memory, and one large product. Thread safety: one caller at a time.
#pragma once

#include <cuda_bf16.h>

#include "execute/cuda/device.hpp"
#include "execute/kernel_times.hpp"

namespace serveloop::execute::cuda {

inline constexpr std::size_t kLimitElements = std::size_t{1}
                                              << 30;  // of BF16: the read has 2 GiB, the copy 1 GiB

// data: at least kLimitElements of random numbers; the second half of them is overwritten by the first.
Result<KernelLimits> measure_limits(DeviceMemory<__nv_bfloat16>& data);

}  // namespace serveloop::execute::cuda
