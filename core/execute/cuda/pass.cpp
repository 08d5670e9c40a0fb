// The launches of a pass in their order. Products end in the residual addition or in the gate where they can; else the
// addition waits for the next norm, which gives equal bits.
#include "execute/cuda/pass.hpp"

#include <algorithm>

#include "kernels/cuda/norm.hpp"

namespace serveloop::execute::cuda {

namespace device = kernels::cuda;

Status Pass::enqueue(const PassSize& size, const device::SequenceRows& rows, const device::StepInputs& inputs,
                     const SamplingRows& sampling, const SampledTokens& sampled, const Stream& stream) {
  if (size.tokens() == 0) return {};
  const Step step{size, rows, inputs, stream.get()};
  pending_ = false;
  if (Status good = begin(step); !good) return good;
  for (std::size_t i = 0; i < a_->layers.size(); ++i)
    if (Status good = layer(i, step); !good) return good;
  if (size.samples == 0) return {};
  return sample(sampling, sampled, step);
}

// The embedding last: it waits for all before it, which attention relies on where it reads early.
Status Pass::begin(const Step& step) {
  const device::AttentionRows asking{step.inputs.position, step.inputs.table_row, step.size.decodes};
  if (step.size.decodes > 0)
    for (const Plan& plan : plans_)
      if (Status good = check(device::plan_attention(asking, plan.window, plan_of(plan.window), step.stream),
                              "attention");
          !good)
        return good;
  return check(device::gather_embedding(weights_->embedding(), step.inputs.id, x_.get(), step.size.tokens(),
                                        static_cast<int>(a_->vocabulary), static_cast<int>(a_->hidden),
                                        a_->embedding_scale, step.stream),
               "embedding");
}

Status Pass::layer(std::size_t index, const Step& step) {
  const LayerWeights& w = weights_->layer(index);
  const int q = static_cast<int>(a_->q_features()), inner = static_cast<int>(a_->intermediate);
  if (Status good = project(w, step); !good) return good;
  if (Status good = attend(index, step); !good) return good;
  if (Status good = add(attended_.get(), w.o, q, w.post_attention_norm, step); !good) return good;
  if (Status good = gated(w, step); !good) return good;
  return add(gated_.get(), w.down, inner, w.post_ffn_norm, step);
}

// Queries, keys and values of the normalised stream.
Status Pass::project(const LayerWeights& w, const Step& step) {
  const int tokens = step.size.tokens(), hidden = static_cast<int>(a_->hidden),
            qkv = static_cast<int>(a_->q_features() + 2 * a_->kv_features());
  if (!pending_ && products_->takes_norm(tokens, qkv, hidden, w.qkv_bias != nullptr, false))
    return products_->store(x_.get(), w.qkv, w.qkv_bias, qkv_.get(), tokens, qkv, hidden, step.stream,
                            norm_of(w.attention_norm));
  if (Status good = normalise(w.attention_norm, step); !good) return good;
  return products_->store(normed_.get(), w.qkv, w.qkv_bias, qkv_.get(), tokens, qkv, hidden, step.stream);
}

Status Pass::attend(std::size_t index, const Step& step) {
  const device::AttentionShape shape = shape_of(index);
  const device::RopeJob rope = rope_of(index, step);
  const device::AttentionPlan plan = plan_of(shape.window);
  if (step.size.in_one)
    return check(device::step_attention(
                     {shape, rope, plan, attended_.get(), attention_workspace_.get(), true}, step.stream),
                 "attention");
  if (Status good = check(device::rope_and_store(rope, step.stream), "attention"); !good) return good;
  const device::AttentionCache cache{rope.k_cache, rope.v_cache, rope.block_stride, rope.block_table,
                                     rope.table_stride};
  const std::int64_t stride = std::int64_t{a_->q_features()} + 2 * std::int64_t{a_->kv_features()};
  const int decodes = step.size.decodes;
  if (decodes > 0) {  // their keys are of earlier steps, so they may be read early
    const device::AttentionRows asking{step.inputs.position, step.inputs.table_row, decodes};
    if (Status good =
            check(device::decode_attention(shape, asking, cache, plan, qkv_.get(), stride, attended_.get(),
                                           attention_workspace_.get(), step.stream, true),
                  "attention");
        !good)
      return good;
  }
  if (step.size.chunks == 0) return {};
  const device::AttentionChunks chunks{step.inputs.chunk_start, step.inputs.chunk_position,
                                       step.inputs.chunk_row,   step.size.chunks,
                                       step.size.chunk_tokens,  step.size.chunk_keys};
  return check(
      device::prefill_attention(shape, chunks, cache, qkv_.get() + decodes * stride, stride,
                                attended_.get() + decodes * std::int64_t{a_->q_features()}, step.stream),
      "attention");
}

// The gated half of the feed-forward part, of the normalised stream.
Status Pass::gated(const LayerWeights& layer, const Step& step) {
  const int tokens = step.size.tokens(), hidden = static_cast<int>(a_->hidden),
            inner = static_cast<int>(a_->intermediate);
  const device::Gate gate = a_->gate == model::Gate::swish ? device::Gate::swish : device::Gate::gelu_tanh;
  if (!pending_ && products_->takes_norm(tokens, 2 * inner, hidden, false, true))
    return products_->gate(gate, x_.get(), layer.gate_up, gated_.get(), tokens, 2 * inner, hidden,
                           step.stream, norm_of(layer.ffn_norm));
  if (Status good = normalise(layer.ffn_norm, step); !good) return good;
  if (products_->has_ends(tokens, 2 * inner, hidden))
    return products_->gate(gate, normed_.get(), layer.gate_up, gated_.get(), tokens, 2 * inner, hidden,
                           step.stream);
  if (Status good = products_->store(normed_.get(), layer.gate_up, nullptr, gate_up_.get(), tokens, 2 * inner,
                                     hidden, step.stream);
      !good)
    return good;
  return check(device::gated_activation(gate, gate_up_.get(), gated_.get(), tokens, inner, step.stream),
               "gate");
}

device::LinearNorm Pass::norm_of(const bf16* weight) const {
  return {weight, a_->norm_eps, weights_->norm_offset()};
}

// normed = norm(x), after what x still lacks.
Status Pass::normalise(const bf16* weight, const Step& step) {
  const int tokens = step.size.tokens(), hidden = static_cast<int>(a_->hidden);
  const float offset = weights_->norm_offset();
  if (std::exchange(pending_, false))
    return check(device::add_rms_norm(x_.get(), delta_.get(), weight, normed_.get(), tokens, hidden,
                                      a_->norm_eps, offset, step.stream),
                 "norm");
  return check(
      device::rms_norm(x_.get(), weight, normed_.get(), tokens, hidden, a_->norm_eps, offset, step.stream),
      "norm");
}

// x += post(y weight^T), y: [tokens, k]; now or with the next norm.
Status Pass::add(const bf16* y, const bf16* weight, int k, const bf16* post_norm, const Step& step) {
  const int tokens = step.size.tokens(), hidden = static_cast<int>(a_->hidden);
  if (post_norm == nullptr && products_->has_ends(tokens, hidden, k))
    return products_->add(y, weight, x_.get(), tokens, hidden, k, step.stream);
  if (Status good = products_->store(y, weight, nullptr, delta_.get(), tokens, hidden, k, step.stream); !good)
    return good;
  pending_ = true;
  if (post_norm == nullptr) return {};
  return check(device::rms_norm(delta_.get(), post_norm, delta_.get(), tokens, hidden, a_->norm_eps,
                                weights_->norm_offset(), step.stream),
               "norm");
}

// Final norm, head and sampling, for as many runs at a time as there is room for logits; then the tokens' way back.
Status Pass::sample(const SamplingRows& sampling, const SampledTokens& sampled, const Step& step) {
  const int hidden = static_cast<int>(a_->hidden), vocabulary = static_cast<int>(a_->vocabulary),
            most = static_cast<int>(logit_rows(limits_.sequences));
  if (Status good = normalise(weights_->final_norm(), step); !good) return good;
  for (int first = 0; first < step.size.samples; first += most) {
    const int rows = std::min(most, step.size.samples - first);
    // Where each token samples, rows are where they should be; else a look-up of rows brings them there.
    const bool in_place = step.size.chunks == 0 && step.size.samples == step.size.decodes;
    const bf16* last = in_place ? normed_.get() + std::int64_t{first} * hidden : last_.get();
    if (Status good = in_place ? Status()
                               : check(device::gather_embedding(
                                           normed_.get(), step.inputs.sample_token + first, last_.get(), rows,
                                           step.size.tokens(), hidden, 1.0f, step.stream),
                                       "rows that sample");
        !good)
      return good;
    if (Status good = products_->store_f32(last, weights_->lm_head(), logits_.get(), rows, vocabulary, hidden,
                                           step.stream);
        !good)
      return good;
    device::SamplingJob job;
    sampling.fill(job);
    job.logits_f32 = logits_.get();
    job.logits_stride = vocabulary;
    job.rows = rows;
    job.vocabulary = vocabulary;
    job.row = step.inputs.sampling + first;
    job.position = step.inputs.sample_position + first;
    job.token = sampled.token() + first;
    job.logprob = sampled.logprob() + first;
    job.alternative = sampled.alternative() + first * SampledTokens::kAlternatives;
    job.alternative_logprob = sampled.alternative_logprob() + first * SampledTokens::kAlternatives;
    if (Status good = check(device::sample(job, step.stream), "sampling"); !good) return good;
    device::StepInputs inputs = step.inputs;
    inputs.sample_position += first;
    inputs.sample_row += first;
    device::FeedBack back{sampled.token() + first, logits_.get(), vocabulary, sampled.bad() + first, rows};
    back.host_token = sampled.host + first;
    back.host_bad = sampled.host + sampled.sequences + first;
    back.slot_stride = static_cast<std::int64_t>(SampledTokens::kWords * sampled.sequences);
    if (Status good = check(device::feed_back(back, inputs, step.rows, step.stream), "sampling"); !good)
      return good;
  }
  return {};
}

}  // namespace serveloop::execute::cuda
