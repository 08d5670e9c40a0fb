// The kernels of a configuration's model, timed by themselves on its GPU. Thread-safe: a function of its arguments.
#pragma once

#include <string>

#include "config/config.hpp"
#include "execute/kernel_times.hpp"

namespace serveloop::rig {

struct KernelBench {
  std::string model;  // "llama3.1-8b"
  execute::KernelReport report;
};

// Of [model] only the shapes are read: no weights. Decode steps of 1, 8, 32, 128 and max_sequences sequences with `keys`
// keys each, and chunks of token_budget tokens. Fails as a run would with executor "cuda".
Result<KernelBench> bench_kernels(const config::Config& config, std::uint32_t keys,
                                  const execute::KernelProgress& progress);

}  // namespace serveloop::rig
