// What a pass stands on: memory, taken once, angles of positions, and the kernels' views of it.
#include <algorithm>
#include <limits>

#include "execute/cuda/pass.hpp"

namespace serveloop::execute::cuda {

namespace device = kernels::cuda;

Result<Pass> Pass::create(const model::Architecture& a, const Weights& weights, const Products& products,
                          const KvPool& pool, const PassLimits& limits, const Stream& stream) {
  Pass pass(a, weights, products, pool, limits);
  int current = 0;
  if (Status good = check(cudaGetDevice(&current), "device"); !good) return tl::unexpected(good.error());
  if (Status good =
          check(cudaDeviceGetAttribute(&pass.processors_, cudaDevAttrMultiProcessorCount, current), "device");
      !good)
    return tl::unexpected(good.error());
  if (Status good = pass.take_memory(); !good) return tl::unexpected(good.error());
  if (Status good = pass.fill_angles(stream); !good) return tl::unexpected(good.error());
  if (Status good = pass.recover(stream); !good) return tl::unexpected(good.error());
  if (Status good = stream.wait(); !good) return tl::unexpected(good.error());
  return pass;
}

Status Pass::take_memory() {
  const std::size_t tokens = limits_.tokens, logits = logit_rows(limits_.sequences);
  const std::size_t q = a_->q_features(), kv = a_->kv_features();
  const std::pair<DeviceMemory<bf16>*, std::size_t> parts[] = {{&x_, tokens * a_->hidden},
                                                               {&normed_, tokens * a_->hidden},
                                                               {&delta_, tokens * a_->hidden},
                                                               {&qkv_, tokens * (q + 2 * kv)},
                                                               {&attended_, tokens * q},
                                                               {&gate_up_, tokens * 2 * a_->intermediate},
                                                               {&gated_, tokens * a_->intermediate},
                                                               {&last_, logits * a_->hidden}};
  for (const auto& [part, size] : parts)
    if (Status good = part->make(size, "activations"); !good) return good;
  if (Status good = logits_.make(logits * a_->vocabulary, "logits"); !good) return good;

  // A decode has as many items as there are groups before it. The pool bounds their sum but for shared prefixes: with
  // more of those than fit, decodes go as chunks.
  const std::uint64_t group = device::attention_group_tokens, sequences = limits_.sequences;
  const std::uint64_t of_pool = std::uint64_t{limits_.blocks} * limits_.block_tokens / group;
  const std::uint64_t of_context = limits_.context_tokens / group + 1;
  most_items_ = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({sequences * of_context, 2 * sequences + 2 * of_pool, 1u << 24}));
  const int items = static_cast<int>(most_items_), rows = static_cast<int>(sequences);
  for (const model::Layer& layer : a_->layers) {
    const int window = static_cast<int>(layer.window);
    if (std::any_of(plans_.begin(), plans_.end(), [&](const Plan& plan) { return plan.window == window; }))
      continue;
    plans_.push_back({window, {}});
    if (Status good = plans_.back().words.make(device::attention_plan_words(rows, items), "attention plan");
        !good)
      return good;
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < a_->layers.size(); ++i)
    bytes = std::max(bytes, device::attention_workspace_bytes(shape_of(i), rows, items));
  return attention_workspace_.make(bytes, "attention workspace");
}

Status Pass::fill_angles(const Stream& stream) {
  for (std::size_t kind = 0; kind < angles_.size(); ++kind) {
    const bool used = std::any_of(a_->layers.begin(), a_->layers.end(), [&](const model::Layer& layer) {
      return static_cast<std::size_t>(layer.rope) == kind;
    });
    if (!used) continue;
    const std::vector<double> host = model::rope_frequencies(a_->ropes[kind], a_->head_dim);
    DeviceMemory<double> frequencies;
    if (Status good = frequencies.make(host.size(), "angles"); !good) return good;
    if (Status good = angles_[kind].make(std::size_t{limits_.context_tokens} * host.size(), "angles"); !good)
      return good;
    if (Status good = check(cudaMemcpyAsync(frequencies.get(), host.data(), frequencies.bytes(),
                                            cudaMemcpyHostToDevice, stream.get()),
                            "angles");
        !good)
      return good;
    if (Status good =
            check(device::fill_rope_table(frequencies.get(), static_cast<int>(limits_.context_tokens),
                                          static_cast<int>(a_->head_dim), angles_[kind].get(), stream.get()),
                  "angles");
        !good)
      return good;
    if (Status good = stream.wait(); !good) return good;  // before the frequencies go
  }
  return {};
}

Status Pass::recover(const Stream& stream) {
  return check(device::clear_attention_workspace(attention_workspace_.get(), attention_workspace_.bytes(),
                                                 stream.get()),
               "attention workspace");
}

device::AttentionShape Pass::shape_of(std::size_t layer) const {
  return {static_cast<int>(a_->q_heads),
          static_cast<int>(a_->kv_heads),
          static_cast<int>(a_->head_dim),
          static_cast<int>(limits_.block_tokens),
          a_->attention_scale,
          a_->attention_soft_cap,
          static_cast<int>(a_->layers[layer].window)};
}

device::RopeJob Pass::rope_of(std::size_t layer, const Step& step) const {
  const LayerWeights& weights = weights_->layer(layer);
  device::RopeJob job;
  job.q_heads = static_cast<int>(a_->q_heads);
  job.kv_heads = static_cast<int>(a_->kv_heads);
  job.head_dim = static_cast<int>(a_->head_dim);
  job.block_tokens = static_cast<int>(limits_.block_tokens);
  job.pairs =
      a_->rope_pairs == model::RopePairs::halves ? device::RopePairs::halves : device::RopePairs::neighbours;
  job.q_norm = weights.q_norm;
  job.k_norm = weights.k_norm;
  job.norm_eps = a_->norm_eps;
  job.norm_weight_offset = weights_->norm_offset();
  job.table = angles_[static_cast<std::size_t>(a_->layers[layer].rope)].get();
  job.position = step.inputs.position;
  job.table_row = step.inputs.table_row;
  job.block_table = step.rows.block_table;
  job.table_stride = step.rows.table_stride;
  job.qkv = qkv_.get();
  job.tokens = step.size.tokens();
  job.k_cache = pool_->k(layer);
  job.v_cache = pool_->v(layer);
  job.block_stride = pool_->block_stride();
  return job;
}

device::AttentionPlan Pass::plan_of(int window) const {
  const auto found =
      std::find_if(plans_.begin(), plans_.end(), [&](const Plan& plan) { return plan.window == window; });
  return {found->words.get(), static_cast<int>(limits_.sequences), static_cast<int>(most_items_)};
}

bool Pass::goes_in_one(int decodes, std::uint64_t keys) const {
  return device::takes_step_attention(static_cast<int>(a_->head_dim), static_cast<int>(a_->kv_heads), decodes,
                                      keys, processors_);
}

}  // namespace serveloop::execute::cuda
