#include "rig/rig.hpp"

#include <cstdio>

namespace serveloop::rig {

Result<std::unique_ptr<Rig>> Rig::load(const config::Config& config, const Progress& progress) {
  auto rig = std::make_unique<Rig>();
  rig->config = config;
  rig->host = plugin_host(config);
  Result<Device> device = make_device(config, rig->host, progress);
  if (!device) return tl::unexpected(device.error());
  rig->device = std::move(*device);
  rig->options = engine_options(config, rig->device.facts);
  Result<engine::Policies> policies = load_policies(config, rig->host, rig->options, rig->device.precision);
  if (!policies) return tl::unexpected(policies.error());
  rig->policies = std::move(*policies);
  rig->header = log_header(config, rig->device.facts, rig->policies, rig->device.executor->op_keys());
  return rig;
}

Status Rig::start(engine::Output& output) {
  if (device.steady_clock != nullptr) device.steady_clock->restart();  // loading is not part of the run
  Clock* clock = device.clock.get();
  execute::Executor* executor = device.executor.get();
  if (!config.observe.log.empty()) {
    observe::Writer bytes;
    encode(header, bytes);
    Result<std::unique_ptr<observe::LogWriter>> created =
        observe::LogWriter::create(config.observe.log, bytes.bytes());
    if (!created) return config.places.under("observe.log", created.error());
    log = std::move(*created);
    recording_clock = std::make_unique<observe::RecordingClock>(*clock, *log);
    recording_executor = std::make_unique<RecordingExecutor>(*executor, *log);
    clock = recording_clock.get();
    executor = recording_executor.get();
  }
  Result<std::unique_ptr<engine::Engine>> made = engine::Engine::create(
      options, labeler(config), std::move(policies), *clock, *executor, output, log.get());
  if (!made) {
    if (log != nullptr) std::remove(config.observe.log.c_str());
    return tl::unexpected(made.error());
  }
  engine = std::move(*made);
  return {};
}

}  // namespace serveloop::rig
