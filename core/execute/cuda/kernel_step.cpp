#include "execute/cuda/kernel_step.hpp"

#include <algorithm>

#include "kernels/cuda/attention_step.hpp"
#include "kernels/cuda/norm.hpp"

namespace serveloop::execute::cuda {

namespace device = kernels::cuda;

namespace {

// Bytes of so many BF16 elements.
double moved(double elements) { return 2 * elements; }

}  // namespace

KernelStep::KernelStep(const model::Architecture& a, const KernelData& data, const Products& products,
                       const KernelRows& rows)
    : data_(data),
      products_(products),
      rows_(rows),
      tokens_(rows.tokens),
      hidden_(static_cast<int>(a.hidden)),
      q_(static_cast<int>(a.q_features())),
      kv_(static_cast<int>(a.kv_features())),
      inner_(static_cast<int>(a.intermediate)),
      vocabulary_(static_cast<int>(a.vocabulary)),
      head_dim_(static_cast<int>(a.head_dim)),
      biased_(a.qkv_bias),
      gate_(a.gate == model::Gate::swish ? device::Gate::swish : device::Gate::gelu_tanh),
      qk_norm_(a.qk_norm),
      eps_(a.norm_eps) {}

template <class Multiply>
KernelCase KernelStep::product(const char* name, int n, int k, double out_elements, Multiply multiply) const {
  const Turns weights = data_.weights(static_cast<std::size_t>(n), static_cast<std::size_t>(k));
  const double size = static_cast<double>(n) * k;
  return {
      name,
      0,
      moved(size + tokens_ * (k + out_elements)),
      2.0 * tokens_ * size,
      weights.launches(),
      [weights, multiply](cudaStream_t stream, int launch) { return multiply(weights.at(launch), stream); }};
}

KernelCase KernelStep::norm() const {
  return {"norm", 0, moved(2.0 * tokens_ * hidden_ + hidden_), 0, 8, [this](cudaStream_t stream, int) {
            return check(device::rms_norm(data_.x.get(), data_.vector.get(), data_.y.get(), tokens_, hidden_,
                                          eps_, 0.0f, stream),
                         "norm");
          }};
}

KernelCase KernelStep::qkv() const {
  const int n = q_ + 2 * kv_;
  return product("qkv", n, hidden_, n, [this, n](const __nv_bfloat16* weight, cudaStream_t stream) {
    return products_.store(data_.x.get(), weight, biased_ ? data_.vector.get() : nullptr, data_.y.get(),
                           tokens_, n, hidden_, stream);
  });
}

KernelCase KernelStep::rope() const {
  const double angles = 2.0 * tokens_ * head_dim_;  // F32, of two BF16 each
  return {"rope",
          0,
          moved(tokens_ * (2.0 * q_ + 4.0 * kv_) + angles),
          0,
          rows_.k.launches(),
          [this](cudaStream_t stream, int launch) {
            return check(device::rope_and_store(rope_job(launch), stream), "rope");
          }};
}

KernelCase KernelStep::added(const char* name, int k) const {
  const bool adds = products_.has_ends(tokens_, hidden_, k);
  return product(name, hidden_, k, adds ? 2.0 * hidden_ : hidden_,
                 [this, k, adds](const __nv_bfloat16* weight, cudaStream_t stream) {
                   return adds ? products_.add(data_.x.get(), weight, data_.y.get(), tokens_, hidden_, k,
                                               stream)
                               : products_.store(data_.x.get(), weight, nullptr, data_.y.get(), tokens_,
                                                 hidden_, k, stream);
                 });
}

KernelCase KernelStep::output() const { return added("o", q_); }

KernelCase KernelStep::down() const { return added("down", inner_); }

bool KernelStep::gates() const { return products_.has_ends(tokens_, 2 * inner_, hidden_); }

KernelCase KernelStep::gate_up() const {
  const int n = 2 * inner_;
  return product(gates() ? "gate, up with gate" : "gate, up", n, hidden_, gates() ? inner_ : n,
                 [this, n](const __nv_bfloat16* weight, cudaStream_t stream) {
                   return gates() ? products_.gate(gate_, data_.x.get(), weight, data_.y.get(), tokens_, n,
                                                   hidden_, stream)
                                  : products_.store(data_.x.get(), weight, nullptr, data_.y.get(), tokens_, n,
                                                    hidden_, stream);
                 });
}

KernelCase KernelStep::gate() const {
  return {"gate", 0, moved(3.0 * tokens_ * inner_), 0, 8, [this](cudaStream_t stream, int) {
            return check(
                device::gated_activation(gate_, data_.x.get(), data_.y.get(), tokens_, inner_, stream),
                "gate");
          }};
}

KernelCase KernelStep::head() const {
  return product("head", vocabulary_, hidden_, 2.0 * vocabulary_,
                 [this](const __nv_bfloat16* weight, cudaStream_t stream) {
                   return products_.store_f32(data_.x.get(), weight, data_.logits.get(), tokens_, vocabulary_,
                                              hidden_, stream);
                 });
}

KernelCase KernelStep::sample(const device::SamplingRow* row) const {
  device::SamplingJob job;
  job.logits_f32 = data_.logits.get();
  job.logits_stride = vocabulary_;
  job.rows = tokens_;
  job.vocabulary = vocabulary_;
  job.row = row;
  job.position = rows_.position.get();
  job.token = data_.token.get();
  return {"sample, greedy", 0, 4.0 * tokens_ * vocabulary_, 0, 8, [job](cudaStream_t stream, int) {
            return check(device::sample(job, stream), "sampling");
          }};
}

KernelCase KernelStep::decode_attention(std::uint64_t keys) const {
  return {"attention",
          keys,
          moved(tokens_ * (2.0 * static_cast<double>(keys) * kv_ + 2.0 * q_)),
          4.0 * tokens_ * static_cast<double>(keys) * q_,
          rows_.k.launches(),
          [this](cudaStream_t stream, int launch) {
            return check(device::decode_attention(data_.attention(), rows_.asking(), cache(launch),
                                                  rows_.plan(), data_.x.get(), q_ + 2 * kv_, data_.y.get(),
                                                  rows_.workspace.get(), stream, true),
                         "attention");
          }};
}

KernelCase KernelStep::step_attention(std::uint64_t keys) const {
  return {"attention with rope",
          keys,
          moved(tokens_ * (2.0 * static_cast<double>(keys) * kv_ + 2.0 * q_ + 2.0 * kv_)),
          4.0 * tokens_ * static_cast<double>(keys) * q_,
          rows_.k.launches(),
          [this](cudaStream_t stream, int launch) {
            return check(device::step_attention({data_.attention(), rope_job(launch), rows_.plan(),
                                                 data_.y.get(), rows_.workspace.get(), true},
                                                stream),
                         "attention");
          }};
}

KernelCase KernelStep::prefill_attention(std::uint64_t keys) const {
  const double tokens = tokens_, before = static_cast<double>(keys) - tokens,
               pairs = tokens * before + tokens * (tokens + 1) / 2;
  return {"attention",
          keys,
          moved(2.0 * static_cast<double>(keys) * kv_ + 2.0 * tokens * q_),
          4.0 * pairs * q_,
          std::min(rows_.k.launches(), 16),
          [this, keys](cudaStream_t stream, int launch) {
            const device::AttentionChunks chunks{
                rows_.chunk_start.get(), rows_.position.get(), rows_.table_row.get(), 1, tokens_,
                static_cast<int>(keys)};
            return check(device::prefill_attention(data_.attention(), chunks, cache(launch), data_.x.get(),
                                                   q_ + 2 * kv_, data_.y.get(), stream),
                         "attention");
          }};
}

device::AttentionCache KernelStep::cache(int launch) const {
  return {rows_.k.at(launch), rows_.v.at(launch), block_stride(), rows_.block_table.get(), rows_.blocks};
}

std::int64_t KernelStep::block_stride() const { return std::int64_t{kv_} * data_.attention().block_tokens; }

device::RopeJob KernelStep::rope_job(int launch) const {
  device::RopeJob job;
  const device::AttentionShape shape = data_.attention();
  job.q_heads = shape.q_heads;
  job.kv_heads = shape.kv_heads;
  job.head_dim = shape.head_dim;
  job.block_tokens = shape.block_tokens;
  if (qk_norm_) job.q_norm = job.k_norm = data_.vector.get();
  job.norm_eps = eps_;
  job.table = data_.angles.get();
  job.position = rows_.position.get();
  job.table_row = rows_.table_row.get();
  job.block_table = rows_.block_table.get();
  job.table_stride = rows_.blocks;
  job.qkv = data_.x.get();
  job.tokens = tokens_;
  job.k_cache = const_cast<__nv_bfloat16*>(rows_.k.at(launch));
  job.v_cache = const_cast<__nv_bfloat16*>(rows_.v.at(launch));
  job.block_stride = block_stride();
  return job;
}

}  // namespace serveloop::execute::cuda
