#include "rig/cpu_device.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <bit>

#include "base/hash.hpp"
#include "engine/precision_setup.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "model/memory_plan.hpp"
#include "rig/machine.hpp"
#include "rig/model_file.hpp"

namespace serveloop::rig {

namespace {

using execute::cpu::CpuExecutor;

constexpr std::uint64_t kMostDefaultPool = std::uint64_t{4} << 30;  // bytes
constexpr double kMega = 1024 * 1024;

// Weights, plan and instruction set: what the values in a block depend on beside its tokens.
std::uint64_t numerics_id(const std::string& model_identity, std::span<const sl_op_plan> plans,
                          kernels::cpu::Isa isa) {
  std::uint64_t id = static_cast<std::uint64_t>(isa);
  const auto add = [&](const char* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) id = mix(id, static_cast<unsigned char>(data[i]));
  };
  add(model_identity.data(), model_identity.size());
  static_assert(std::has_unique_object_representations_v<decltype(sl_op_plan::accumulate)>);
  for (const sl_op_plan& p : plans)
    for (const sl_format* f : {&p.weight, &p.input, &p.output})
      id = mix(id, std::uint64_t{f->dtype} << 16 | std::uint64_t{f->granularity} << 8 | f->source);
  return id;
}

const char* most_common(const model::WeightBytes& weights) {
  const auto most = std::max_element(weights.by_type.begin(), weights.by_type.end());
  return model::kTypeInfo[static_cast<std::size_t>(most - weights.by_type.begin())].name;
}

}  // namespace

Result<Device> cpu_device(const config::Config& config, const sl_cost& cost, policy::Precision& precision,
                          const Progress& progress) {
  Device device;
  const config::Engine& e = config.engine;
  const unsigned threads = e.threads > 0 ? e.threads : usable_cores();
  if (progress) progress("reading " + config.model.path);
  Result<NamedModel> named = read_model(config.model, threads);
  if (!named)
    return named.error().what.starts_with("model.path") ? tl::unexpected(named.error())
                                                        : about("model.path", named.error());
  const model::Architecture a = named->model.architecture;
  if (e.context_tokens && *e.context_tokens > a.max_positions)
    return fail("engine.context_tokens", fmt::format("at most {}, the model's positions", a.max_positions),
                std::to_string(*e.context_tokens));
  LoadedModel& loaded = device.model.emplace();
  loaded.name = named->name;
  loaded.vocabulary = std::move(named->model.vocabulary);
  const model::WeightBytes weights = model::weight_bytes(named->model.weights, a);
  loaded.weight_bytes = weights.total;
  loaded.format = most_common(weights);
  loaded.threads = threads;
  loaded.description = fmt::format("{}: {}, {} layers, {:.0f} MiB of weights", loaded.name, a.family,
                                   a.layers.size(), static_cast<double>(loaded.weight_bytes) / kMega);

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
  auto executor = CpuExecutor::create(*device.clock, std::move(named->model), options);
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
  (*executor)->set_blocks(*blocks);

  device.facts = {cost,         {},
                  *blocks,      e.context_tokens.value_or(a.max_positions),
                  a.vocabulary, numerics_id(named->identity, *plans, options.isa)};
  device.executor = std::move(*executor);
  return device;
}

}  // namespace serveloop::rig
