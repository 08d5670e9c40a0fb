#include "rig/device.hpp"

#include <fmt/format.h>

#include <string>

#include "config/schema.hpp"
#include "execute/factory.hpp"
#include "rig/calibration.hpp"
#include "rig/cpu_device.hpp"
#include "rig/cuda_device.hpp"
#include "rig/settings.hpp"

namespace serveloop::rig {

namespace {

constexpr std::uint32_t kContext = 131072;  // where neither the configuration nor a model says

std::string size(double bytes) { return config::bytes_text(static_cast<std::uint64_t>(bytes), " "); }

Result<Device> virtual_device(const config::Config& config, const config::Calibration& calibration) {
  Device device;
  const config::Engine& e = config.engine;
  DeviceFacts& facts = device.facts;
  facts.cost = cost_of(calibration, e.block_tokens);
  facts.host = host_of(calibration);
  facts.context_tokens = e.context_tokens.value_or(kContext);
  const double block_bytes = static_cast<double>(calibration.kv_bytes_per_token) * e.block_tokens;
  const Result<std::uint32_t> blocks = pool_blocks(e, block_bytes, calibration.kv_memory_bytes);
  if (!blocks) return tl::unexpected(blocks.error());
  const Result<std::uint32_t> in_host = host_blocks(e, block_bytes);
  if (!in_host) return tl::unexpected(in_host.error());
  facts.kv_blocks = *blocks;
  facts.host_kv_blocks = *in_host;
  auto clock = std::make_unique<VirtualClock>(facts.host);
  device.virtual_clock = clock.get();
  device.clock = std::move(clock);
  auto executor = execute::make_executor(e.executor, {*device.clock, facts.cost, e.lag, e.max_sequences,
                                                      e.block_tokens, facts.kv_blocks, facts.host_kv_blocks});
  if (!executor) return tl::unexpected(executor.error());
  device.executor = std::move(*executor);
  return device;
}

// Only time is simulated where extents are reserved: an executor that computes has its KV in blocks.
Status check_reservation(const config::Config& config) {
  const config::Engine& e = config.engine;
  if (e.kv_reservation == "paged") return {};
  const std::string what = "engine.kv_reservation";
  const std::string expected = fmt::format("with '{}' ", e.kv_reservation);
  if (e.executor != "simulated")
    return fail(what, expected + "engine.executor = \"simulated\"", "'" + e.executor + "'",
                "set engine.kv_reservation = \"paged\"");
  if (e.prefix_cache)
    return fail(what, expected + "engine.prefix_cache = false, as an extent is one sequence's alone", "true",
                "set engine.prefix_cache = false");
  if (e.host_kv_memory_bytes > 0)
    return fail(what, expected + "no host tier, engine.host_kv_memory = 0",
                config::bytes_text(e.host_kv_memory_bytes, " "), "set engine.host_kv_memory = 0");
  return {};
}

}  // namespace

bool is_real(const config::Config& config) {
  return config.engine.executor == "cpu" || config.engine.executor == "cuda";
}

Result<std::uint32_t> pool_blocks(const config::Engine& e, double block_bytes, std::uint64_t default_bytes) {
  const std::uint64_t memory = e.kv_memory_bytes.value_or(default_bytes);
  const double blocks = e.kv_blocks       ? *e.kv_blocks
                        : block_bytes > 0 ? static_cast<double>(memory) / block_bytes
                                          : 0;
  if (blocks < 1 || blocks > config::kMostKvBlocks)
    return fail(e.kv_blocks ? "engine.kv_blocks" : "engine.kv_memory",
                fmt::format("a KV pool of 1 to {} blocks{}", config::kMostKvBlocks,
                            e.kv_blocks ? "" : " of " + size(block_bytes)),
                e.kv_blocks ? fmt::format("{} blocks", *e.kv_blocks) : config::bytes_text(memory, " "),
                "set engine.kv_blocks or engine.kv_memory");
  return static_cast<std::uint32_t>(blocks);
}

Result<std::uint32_t> host_blocks(const config::Engine& e, double block_bytes) {
  if (e.host_kv_memory_bytes == 0) return 0u;
  const double blocks = block_bytes > 0 ? static_cast<double>(e.host_kv_memory_bytes) / block_bytes : 0;
  if (blocks < 1 || blocks > 1e8)
    return fail(
        "engine.host_kv_memory",
        blocks < 1 ? fmt::format("0, or at least {}, a block of {} tokens", size(block_bytes), e.block_tokens)
                   : fmt::format("at most 100000000 blocks of {}", size(block_bytes)),
        config::bytes_text(e.host_kv_memory_bytes, " "));
  return static_cast<std::uint32_t>(blocks);
}

Result<Device> make_device(const config::Config& config, const policy::Host& host, const Progress& progress) {
  if (Status good = check_reservation(config); !good) return tl::unexpected(good.error());
  const Result<config::Calibration> calibration = config::load_calibration(config.simulated.calibration);
  if (!calibration) return about("simulated.calibration", calibration.error());
  const sl_cost cost = cost_of(*calibration, config.engine.block_tokens);
  auto precision = load_precision(config, host, cost);
  if (!precision) return tl::unexpected(precision.error());
  const std::string& executor = config.engine.executor;
  Result<Device> device = executor == "cpu"    ? cpu_device(config, cost, **precision, progress)
                          : executor == "cuda" ? cuda_device(config, cost, **precision, progress)
                                               : virtual_device(config, *calibration);
  if (device) device->precision = *precision;
  return device;
}

Status resolve_calibration(config::Config& config, const std::string& folder) {
  std::string& name = config.simulated.calibration;
  if (name.empty()) name = config.engine.executor == "cpu" ? "cpu-smollm2-135m" : "h100-llama3.1-8b";
  const Result<std::string> path = config::find_calibration(name, config::calibration_folders(folder));
  if (!path) return tl::unexpected(path.error());
  name = *path;
  return {};
}

}  // namespace serveloop::rig
