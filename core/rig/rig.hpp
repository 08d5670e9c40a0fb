// Everything one run needs, put together from a configuration: device, policies, log, engine.
#pragma once

#include <memory>

#include "engine/engine.hpp"
#include "rig/device.hpp"
#include "rig/log_header.hpp"
#include "rig/recording_executor.hpp"
#include "rig/settings.hpp"

namespace serveloop::rig {

// In an order in which they can be destroyed.
struct Rig {
  config::Config config;
  policy::Host host;
  Device device;
  engine::Options options;
  engine::Policies policies;  // as loaded; the engine takes them
  LogHeader header;
  std::unique_ptr<observe::LogWriter> log;  // null: none asked for
  std::unique_ptr<observe::RecordingClock> recording_clock;
  std::unique_ptr<RecordingExecutor> recording_executor;
  std::unique_ptr<engine::Engine> engine;  // after start()

  // Loads model and policies; writes nothing.
  static Result<std::unique_ptr<Rig>> load(const config::Config& config, const Progress& progress = nullptr);
  // Opens the step log and makes the engine, which `output` outlives.
  Status start(engine::Output& output);
  Clock& clock() { return *device.clock; }
};

}  // namespace serveloop::rig
