#include "rig/model_device.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.hpp"
#include "model/memory_plan.hpp"
#include "rig/machine.hpp"

namespace serveloop::rig {

namespace {

constexpr double kMega = 1024 * 1024;

const char* most_common(const model::WeightBytes& weights) {
  const auto most = std::max_element(weights.by_type.begin(), weights.by_type.end());
  return model::kTypeInfo[static_cast<std::size_t>(most - weights.by_type.begin())].name;
}

}  // namespace

Result<ModelToRun> model_to_run(const config::Config& config, unsigned threads, const Progress& progress) {
  if (progress) progress("reading " + config.model.path);
  Result<NamedModel> named = read_model(config.model, threads);
  if (!named)
    return named.error().what.starts_with("model.path") ? tl::unexpected(named.error())
                                                        : about("model.path", named.error());
  const model::Architecture& a = named->model.architecture;
  const std::uint32_t context_tokens = config.engine.context_tokens.value_or(a.max_positions);
  if (context_tokens > a.max_positions)
    return fail("engine.context_tokens", fmt::format("at most {}, the model's positions", a.max_positions),
                std::to_string(context_tokens));
  LoadedModel loaded;
  loaded.name = named->name;
  loaded.vocabulary = std::move(named->model.vocabulary);
  const model::WeightBytes weights = model::weight_bytes(named->model.weights, a);
  loaded.weight_bytes = weights.total;
  loaded.format = most_common(weights);
  loaded.description = fmt::format("{}: {}, {} layers, {:.0f} MiB of weights", loaded.name, a.family,
                                   a.layers.size(), static_cast<double>(loaded.weight_bytes) / kMega);
  return ModelToRun{std::move(*named), std::move(loaded), context_tokens};
}

Result<std::uint32_t> host_blocks_in_memory(const config::Engine& engine, std::uint64_t block_bytes,
                                            std::uint64_t beside_bytes) {
  constexpr std::uint64_t kMebi = 1024 * 1024;
  const Result<std::uint32_t> blocks = host_blocks(engine, static_cast<double>(block_bytes));
  const std::uint64_t available = available_memory();
  if (!blocks || *blocks == 0 || available == 0) return blocks;
  const std::uint64_t left = available - std::min(available, beside_bytes);
  if (*blocks * block_bytes <= left) return blocks;
  const std::string beside =
      beside_bytes == 0 ? "" : fmt::format(" beside a KV pool of {} MiB", beside_bytes / kMebi);
  return fail("engine.host_kv_memory",
              fmt::format("at most {} MiB, which memory has left{}", left / kMebi, beside),
              fmt::format("{} MiB", *blocks * block_bytes / kMebi));
}

std::uint64_t numerics_id(const std::string& model_identity, std::span<const sl_op_plan> plans,
                          std::uint64_t backend) {
  std::uint64_t id = backend;
  for (const char c : model_identity) id = mix(id, static_cast<unsigned char>(c));
  static_assert(std::has_unique_object_representations_v<decltype(sl_op_plan::accumulate)>);
  for (const sl_op_plan& p : plans)
    for (const sl_format* f : {&p.weight, &p.input, &p.output})
      id = mix(id, std::uint64_t{f->dtype} << 16 | std::uint64_t{f->granularity} << 8 | f->source);
  return id;
}

}  // namespace serveloop::rig
