// The device that a configuration names: its clock and its executor, and what they decide of the engine. Not
// thread-safe.
//
//   executor = "simulated", "hash", "null"   virtual time, costs by a calibration, no model
//   executor = "cpu", "cuda"                 real time, a model's weights; costs by a calibration for the policies to ask
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/steady_clock.hpp"
#include "base/virtual_clock.hpp"
#include "config/config.hpp"
#include "execute/executor.hpp"
#include "model/vocabulary.hpp"
#include "policy/host.hpp"
#include "rig/facts.hpp"

namespace serveloop::rig {

// What a real model brings beside its executor.
struct LoadedModel {
  std::string name;                             // of its file
  std::optional<model::Vocabulary> vocabulary;  // none: prompts and answers are token ids
  std::uint64_t weight_bytes = 0, kv_block_bytes = 0;
  std::string description;  // "llama, 134.5 M parameters, 30 layers, 162 MiB"
  std::string format;       // that most bytes of the weights have: "Q4_1"
  // Of the executor.
  std::string processor;        // "Intel(R) Xeon(R) Processor @ 2.50GHz", "NVIDIA H100 80GB HBM3"
  unsigned threads = 0;         // of a CPU
  std::string instruction_set;  // "avx512", "sm_90"
};

struct Device {
  std::unique_ptr<Clock> clock;
  VirtualClock* virtual_clock = nullptr;  // the same, where time is virtual
  SteadyClock* steady_clock = nullptr;    // or where it is real
  std::unique_ptr<execute::Executor> executor;
  DeviceFacts facts;
  std::shared_ptr<policy::Precision> precision;  // loaded: the size of the KV pool follows from its plan
  std::optional<LoadedModel> model;              // of real devices
};

// Hears what takes long; may be null.
using Progress = std::function<void(const std::string&)>;

// Requires that [simulated] calibration is a path (resolve_calibration). Loads the model, if there is one.
Result<Device> make_device(const config::Config& config, const policy::Host& host,
                           const Progress& progress = nullptr);

// Finds a calibration that is named without a path, or the one that stands for the executor where none is named;
// `folder` is that of the TOML file.
Status resolve_calibration(config::Config& config, const std::string& folder);

// Blocks of the KV pool: as stated, or as many as the stated memory, or `default_bytes`, holds.
Result<std::uint32_t> pool_blocks(const config::Engine& engine, double block_bytes,
                                  std::uint64_t default_bytes);

// Blocks of [engine] host_kv_memory, of so many bytes each. Fails where it holds less than one, or too many.
Result<std::uint32_t> host_blocks(const config::Engine& engine, double block_bytes);

bool is_real(const config::Config& config);  // its executor computes a model, in real time

}  // namespace serveloop::rig
