// Everything one run needs, put together from a configuration: clock, executor, policies, log, engine.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "base/virtual_clock.hpp"
#include "config/config.hpp"
#include "engine/engine.hpp"
#include "execute/executor.hpp"
#include "experiment/calibration.hpp"
#include "experiment/summary.hpp"
#include "observe/step_log.hpp"

namespace serveloop::experiment {

// A calibration, in the units of the loop.
struct Model {
  sl_cost cost{};
  HostModel host;
  double kv_bytes_per_token = 0;
  std::uint64_t kv_memory_bytes = 0;
};
// Requires that [simulated] calibration is a path (resolve_calibration).
Result<Model> load_model(const config::Config& config);
// Finds a calibration that is named without a path; `folder` is that of the TOML file.
Status resolve_calibration(config::Config& config, const std::string& folder);

// What the configuration means for the loop. The KV pool comes from kv_blocks, kv_memory or the calibration.
Result<engine::Options> engine_options(const config::Config& config, const Model& model);
requests::Labeler labeler(const config::Config& config);
policy::Host plugin_host(const config::Config& config);
// Loads all that the configuration names; none is started when one fails.
Result<engine::Policies> load_policies(const config::Config& config, const policy::Host& host,
                                       const engine::Options& options);
policy::Limits limits(const engine::Options& options);
PluginMark mark_of(const policy::Instance& instance);

// The step log's header: the configuration as TOML, and each plugin with the hash of its object.
struct LogHeader {
  std::string config_toml, abi_stamp;
  Model model;
  std::vector<PluginMark> plugins;
};
LogHeader log_header(const config::Config& config, const Model& model, const engine::Policies& policies);
void encode(const LogHeader& header, observe::Writer& out);
Result<LogHeader> decode_log_header(std::span<const std::uint8_t> bytes);

// An executor that notes what it brings in the step log.
class RecordingExecutor final : public execute::Executor {
 public:
  RecordingExecutor(execute::Executor& inner, observe::StepLog& log) : inner_(inner), log_(log) {}
  void submit(const execute::Batch& batch) override {
    pending_rows_.push_back(batch.rows.size());
    inner_.submit(batch);
  }
  execute::Collected collect() override;
  std::span<const sl_op_key> op_keys() const override { return inner_.op_keys(); }
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override {
    return inner_.apply(mode, plans);
  }

 private:
  execute::Executor& inner_;
  observe::StepLog& log_;
  std::deque<std::size_t> pending_rows_;
  observe::Writer scratch_;
};
void encode(const execute::Collected& done, observe::Writer& out);
execute::Collected decode_collected(observe::Reader& in, std::vector<std::uint32_t>& tokens);

// A run's parts, in an order in which they can be destroyed.
struct Rig {
  config::Config config;
  engine::Options options;
  std::unique_ptr<VirtualClock> clock;
  std::unique_ptr<execute::Executor> executor;
  std::unique_ptr<observe::LogWriter> log;  // null: none asked for
  std::unique_ptr<observe::RecordingClock> recording_clock;
  std::unique_ptr<RecordingExecutor> recording_executor;
  policy::Host host;
  LogHeader header;
  Recorder recorder;
  std::unique_ptr<engine::Engine> engine;
};
Result<std::unique_ptr<Rig>> assemble(const config::Config& config);

}  // namespace serveloop::experiment
