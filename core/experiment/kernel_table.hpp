// Kernels beside what the device can do at most, as text and as JSON. Thread-safe: pure functions.
#pragma once

#include <string>

#include "rig/kernel_bench.hpp"

namespace serveloop::experiment {

// A line a kernel: its time, what it moves and computes a second, and the share of the roofline that it reaches.
std::string kernel_table(const rig::KernelBench& bench);

// {"device", "model", "limits": {...}, "kernels": [{"step", "kernel", "tokens", "keys", "us", "bytes", "flops",
// "bytes_per_s", "flops_per_s", "roofline_us", "of_roofline"}]}; keys: null where they do not matter.
std::string kernel_json(const rig::KernelBench& bench);

}  // namespace serveloop::experiment
