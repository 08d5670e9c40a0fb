#include "experiment/calibrate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "engine/precision_setup.hpp"
#include "experiment/copy_runner.hpp"
#include "rig/calibration.hpp"
#include "rig/machine.hpp"

namespace serveloop::experiment {
namespace {

constexpr std::uint64_t kCopied = 64 << 20;        // bytes of the blocks that are copied between the tiers
constexpr std::uint64_t kMostKvOfToken = 1 << 20;  // bytes

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

// Five digits: more would be noise.
double rounded(double value) { return std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr); }

void set_costs(config::Calibration& to, const sl_cost& cost) {
  to.step_fixed_us = rounded(cost.step_fixed_ns * 1e-3);
  to.decode_sequence_us = rounded(cost.decode_sequence_ns * 1e-3);
  to.decode_context_ns = rounded(cost.decode_context_ns);
  to.prefill_token_us = rounded(cost.prefill_token_ns * 1e-3);
  to.prefill_context_ns = rounded(cost.prefill_context_ns);
  to.prefill_step_us = rounded(cost.prefill_step_ns * 1e-3);
  to.decode_token_us = rounded(cost.decode_token_ns * 1e-3);
  to.overlap = cost.overlap;
}

}  // namespace

Result<Calibrator> Calibrator::load(const config::Config& config, const std::string& command,
                                    const rig::Progress& progress) {
  if (!rig::is_real(config))
    return fail("engine.executor", "cpu or cuda: a calibration is fitted to steps of a model in real time",
                "'" + config.engine.executor + "'");
  Result<config::Calibration> base = config::load_calibration(config.simulated.calibration);
  if (!base) return tl::unexpected(base.error());
  Calibrator out;
  out.base_ = std::move(*base);
  config::Config with_host = config;
  if (with_host.engine.host_kv_memory_bytes == 0)  // a block or more of any model
    with_host.engine.host_kv_memory_bytes =
        std::max(kCopied, std::uint64_t{config.engine.block_tokens} * kMostKvOfToken);
  Result<std::unique_ptr<rig::Rig>> rig = rig::Rig::load(with_host, progress);
  if (!rig) return tl::unexpected(rig.error());
  out.rig_ = std::move(*rig);
  rig::Device& device = out.rig_->device;
  const auto modes =
      engine::set_up_precision(*device.precision, *device.executor, config.engine.deterministic);
  if (!modes) return tl::unexpected(modes.error());

  const engine::Options& o = out.rig_->options;
  CalibrationNotes& n = out.notes_;
  n.command = command;
  n.date = today();
  n.processor = device.model->processor;
  n.instruction_set = device.model->instruction_set;
  n.model = device.model->name;
  n.format = device.model->format;
  n.precision = device.precision->id();
  n.host_from = out.base_.name;
  n.threads = device.model->threads;
  n.cores = rig::usable_cores();
  n.limits = {o.max_sequences, o.token_budget, o.context_tokens,
              o.block_tokens,  o.kv_blocks,    n.threads > 0 ? kMostTouched : kMostTouchedByGpu};
  return out;
}

Result<Calibrated> Calibrator::run(const std::string& name, const StepRunOptions& options) {
  notes_.load = load_average();
  notes_.rounds = options.rounds;
  const rig::LoadedModel& model = *rig_->device.model;
  Result<std::vector<MeasuredStep>> steps =
      run_steps(*rig_->device.executor, notes_.limits, rig_->device.facts.vocabulary, options);
  if (!steps) return tl::unexpected(steps.error());
  const Result<CostFit> fit = fit_cost(*steps);
  if (!fit) return tl::unexpected(fit.error());

  Calibrated out;
  out.steps = std::move(*steps);
  config::Calibration& c = out.calibration;
  c = base_;
  set_costs(c, fit->cost);
  c.name = name;
  c.device = fmt::format("{}, {}{}; {} in {}", notes_.processor,
                         notes_.threads > 0 ? fmt::format("{} threads, ", notes_.threads) : "",
                         notes_.instruction_set, notes_.model, notes_.precision);
  c.source = fmt::format("serveloop bench --calibrate, {}: {} steps", notes_.date, out.steps.size());
  const std::uint64_t bt = notes_.limits.block_tokens;
  c.kv_bytes_per_token = (model.kv_block_bytes + bt - 1) / bt;
  c.kv_memory_bytes = notes_.limits.blocks * bt * c.kv_bytes_per_token;
  const auto copied = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({rig_->options.host_kv_blocks, rig_->options.kv_blocks,
                               std::max<std::uint64_t>(kCopied / model.kv_block_bytes, 1)}));
  const Result<CopyRate> rate = run_copies(*rig_->device.executor, copied, model.kv_block_bytes);
  if (!rate) return tl::unexpected(rate.error());
  c.swap_gb_per_s = rounded(std::clamp(std::min(rate->out_gb_per_s, rate->in_gb_per_s), 0.001, 1e6));
  out.fit = residuals_of(rig::cost_of(c, notes_.limits.block_tokens), out.steps);
  Result<std::string> text = calibration_text(c, out.fit, notes_);
  if (!text) return tl::unexpected(text.error());
  out.text = std::move(*text);
  return out;
}

Result<Calibrated> refit(const config::Calibration& base, const std::string& name,
                         std::vector<MeasuredStep> steps, const std::string& command) {
  const Result<CostFit> fit = fit_cost(steps);
  if (!fit) return tl::unexpected(fit.error());
  Calibrated out;
  out.steps = std::move(steps);
  out.calibration = base;
  set_costs(out.calibration, fit->cost);
  out.calibration.name = name;
  const RefitNotes notes{command, today(), base.name};
  out.calibration.source =
      fmt::format("serveloop bench --calibrate --from, {}: {} steps", notes.date, out.steps.size());
  constexpr std::uint32_t kAnyBlock = 16;  // of swapping, which no step tells of
  out.fit = residuals_of(rig::cost_of(out.calibration, kAnyBlock), out.steps);
  Result<std::string> text = calibration_text(out.calibration, out.fit, notes);
  if (!text) return tl::unexpected(text.error());
  out.text = std::move(*text);
  return out;
}

}  // namespace serveloop::experiment
