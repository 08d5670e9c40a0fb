#include "rig/cpu_device.hpp"

#include <algorithm>

#include "engine/precision_setup.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "rig/machine.hpp"
#include "rig/model_device.hpp"

namespace serveloop::rig {

namespace {

using execute::cpu::CpuExecutor;

constexpr std::uint64_t kMostDefaultPool = std::uint64_t{4} << 30;  // bytes

}  // namespace

Result<Device> cpu_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                          const Progress& progress) {
  Device device;
  const config::Engine& e = config.engine;
  const unsigned threads = e.threads > 0 ? e.threads : usable_cores();
  Result<ModelToRun> read = model_to_run(config, threads, progress);
  if (!read) return tl::unexpected(read.error());
  LoadedModel& loaded = device.model.emplace(std::move(read->loaded));
  loaded.processor = processor_name();
  loaded.threads = threads;
  const std::uint32_t vocabulary = read->named.model.architecture.vocabulary;

  constexpr const char* kSmaller = "use a smaller model, or one of fewer bits a weight";
  if (Status fits = check_room("weights", loaded.weight_bytes, kSmaller); !fits)
    return tl::unexpected(fits.error());
  if (progress) progress("packing " + loaded.description);
  auto clock = std::make_unique<SteadyClock>();
  device.steady_clock = clock.get();
  device.clock = std::move(clock);
  execute::cpu::CpuOptions options;
  options.threads = threads;
  options.lag = e.lag;
  options.max_sequences = e.max_sequences;
  options.token_budget = e.token_budget;
  options.block_tokens = e.block_tokens;
  loaded.instruction_set = kernels::cpu::name(options.isa);
  auto executor = CpuExecutor::create(*device.clock, std::move(read->named.model), options);
  if (!executor) return tl::unexpected(executor.error());
  auto plans = engine::assign(precision, (*executor)->op_keys(), 0);
  if (!plans) return tl::unexpected(plans.error());
  auto block_bytes = (*executor)->block_bytes(*plans);
  if (!block_bytes) return tl::unexpected(block_bytes.error());
  loaded.kv_block_bytes = *block_bytes;
  const Result<std::uint32_t> blocks =
      pool_blocks(e, static_cast<double>(*block_bytes), std::min(kMostDefaultPool, available_memory() / 4));
  if (!blocks) return tl::unexpected(blocks.error());
  if (Status fits = check_room("a KV pool", *blocks * *block_bytes,
                               e.kv_blocks ? "lower engine.kv_blocks" : "lower engine.kv_memory");
      !fits)
    return tl::unexpected(fits.error());
  const Result<std::uint32_t> in_host = host_blocks_in_memory(e, *block_bytes, *blocks * *block_bytes);
  if (!in_host) return tl::unexpected(in_host.error());
  (*executor)->set_blocks(*blocks, *in_host);

  const auto isa = static_cast<std::uint64_t>(options.isa);
  device.facts = {.cost = cost,
                  .host = {},
                  .kv_blocks = *blocks,
                  .host_kv_blocks = *in_host,
                  .context_tokens = read->context_tokens,
                  .vocabulary = vocabulary,
                  .numerics = numerics_id(read->named.identity, *plans, isa)};
  device.executor = std::move(*executor);
  return device;
}

}  // namespace serveloop::rig
