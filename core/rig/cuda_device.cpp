#include "rig/cuda_device.hpp"

#include "engine/precision_setup.hpp"
#include "execute/cuda/cuda_executor.hpp"
#include "rig/machine.hpp"
#include "rig/model_device.hpp"
#include "rig/products_cache.hpp"

namespace serveloop::rig {

namespace {

using execute::cuda::CudaExecutor;

constexpr std::uint64_t kBackend = 0x43554441;  // beside the CPU's instruction sets
// Of the memory that weights leave, the share of the KV pool. A step's activations and graphs need the rest.
constexpr double kPoolShare = 0.9;

}  // namespace

Result<Device> cuda_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                           const Progress& progress) {
  Device device;
  const config::Engine& e = config.engine;
  Result<ModelToRun> read = model_to_run(config, e.threads > 0 ? e.threads : usable_cores(), progress);
  if (!read) return tl::unexpected(read.error());
  LoadedModel& loaded = device.model.emplace(std::move(read->loaded));
  const std::uint32_t vocabulary = read->named.model.architecture.vocabulary;

  if (progress) progress("uploading " + loaded.description);
  auto clock = std::make_unique<SteadyClock>();
  device.steady_clock = clock.get();
  device.clock = std::move(clock);
  execute::cuda::CudaOptions options;
  options.lag = e.lag;
  options.max_sequences = e.max_sequences;
  options.token_budget = e.token_budget;
  options.block_tokens = e.block_tokens;
  options.context_tokens = read->context_tokens;
  options.products_cache = products_cache_folder();
  auto executor = CudaExecutor::create(*device.clock, std::move(read->named.model), options);
  if (!executor) return tl::unexpected(executor.error());
  if (progress && !(*executor)->note().empty()) progress((*executor)->note());
  loaded.weight_bytes = (*executor)->weight_bytes();  // as uploaded: in BF16
  loaded.format = "BF16";
  loaded.processor = (*executor)->device_name();
  loaded.instruction_set = "sm_90";

  auto plans = engine::assign(precision, (*executor)->op_keys(), 0);
  if (!plans) return tl::unexpected(plans.error());
  const Result<std::uint64_t> block_bytes = (*executor)->block_bytes(*plans);
  if (!block_bytes) return tl::unexpected(block_bytes.error());
  const Result<std::uint64_t> free = (*executor)->free_bytes();
  if (!free) return tl::unexpected(free.error());
  loaded.kv_block_bytes = *block_bytes;
  const Result<std::uint32_t> blocks =
      pool_blocks(e, static_cast<double>(*block_bytes),
                  static_cast<std::uint64_t>(kPoolShare * static_cast<double>(*free)));
  if (!blocks) return tl::unexpected(blocks.error());
  const Result<std::uint32_t> in_host = host_blocks_in_memory(e, *block_bytes, 0);
  if (!in_host) return tl::unexpected(in_host.error());
  (*executor)->set_blocks(*blocks, *in_host);

  device.facts = {.cost = cost,
                  .host = {},
                  .kv_blocks = *blocks,
                  .host_kv_blocks = *in_host,
                  .context_tokens = read->context_tokens,
                  .vocabulary = vocabulary,
                  .numerics = numerics_id(read->named.identity, *plans, kBackend)};
  device.executor = std::move(*executor);
  return device;
}

}  // namespace serveloop::rig
