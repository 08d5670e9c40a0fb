// What every device that computes a model does before its executor is made. Thread-safe: functions of their arguments.
#pragma once

#include <serveloop/precision.h>

#include <span>
#include <string>

#include "rig/device.hpp"
#include "rig/model_file.hpp"

namespace serveloop::rig {

struct ModelToRun {
  NamedModel named;  // without its vocabulary, which `loaded` has
  LoadedModel loaded;
  std::uint32_t context_tokens;  // of the configuration, or the model's positions
};

// Reads the model that [model] names, with so many threads. Fails on a context beyond the model's positions.
Result<ModelToRun> model_to_run(const config::Config& config, unsigned threads, const Progress& progress);

// host_blocks(), where memory has room for them beside `beside_bytes` that are not taken yet.
Result<std::uint32_t> host_blocks_in_memory(const config::Engine& engine, std::uint64_t block_bytes,
                                            std::uint64_t beside_bytes);

// Weights, plan and what computes them (`backend`, an id of its own): all that the values in a block depend on beside
// its tokens.
std::uint64_t numerics_id(const std::string& model_identity, std::span<const sl_op_plan> plans,
                          std::uint64_t backend);

}  // namespace serveloop::rig
