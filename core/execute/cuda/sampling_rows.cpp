#include "execute/cuda/sampling_rows.hpp"

#include <algorithm>
#include <climits>
#include <utility>

namespace serveloop::execute::cuda {
namespace {

bool penalises(const Sampling& how) { return how.repetition != 1 || how.presence != 0 || how.frequency != 0; }
bool masks_stops(const Sampling& how) { return how.min_tokens > 0 && !how.stop_ids.empty(); }

std::uint32_t mask_words(std::uint32_t vocabulary) { return (vocabulary + 31) / 32; }

std::int32_t clamped(std::uint32_t value) {
  return static_cast<std::int32_t>(std::min<std::uint32_t>(value, INT_MAX));
}

}  // namespace

Result<SamplingRows> SamplingRows::create(std::uint32_t rows, std::uint32_t vocabulary,
                                          std::uint32_t context_tokens) {
  SamplingRows out;
  out.vocabulary_ = vocabulary;
  out.history_capacity_ = std::min(vocabulary, context_tokens);
  const std::size_t n = rows;
  for (const Status& good : {out.masks_.make(n * mask_words(vocabulary), "masks of rows"),
                             out.biases_.make(n * kMaxBiases, "biases of rows"),
                             out.history_.make(n * out.history_capacity_, "histories of rows"),
                             out.history_size_.make(n, "histories of rows")})
    if (!good) return tl::unexpected(good.error());
  out.counts_.resize(vocabulary);
  return out;
}

kernels::cuda::RowSampling SamplingRows::stage(const Begin& begin, Staging& staging) {
  const Sampling& how = *begin.sampling;
  kernels::cuda::RowSampling out;
  out.prompt_tokens = clamped(begin.prompt_tokens);
  out.how.seed = how.seed;
  out.how.fork = begin.fork;
  out.how.temperature = how.temperature;
  out.how.top_p = how.top_p;
  out.how.min_p = how.min_p;
  out.how.top_k = how.top_k >= vocabulary_ ? 0 : static_cast<int>(how.top_k);
  out.how.repetition = how.repetition;
  out.how.presence = how.presence;
  out.how.frequency = how.frequency;
  out.how.alternatives = how.alternatives ? clamped(*how.alternatives) : -1;
  if (masks_stops(how)) {
    out.min_tokens = clamped(how.min_tokens);
    out.how.mask = static_cast<int>(begin.row);
    stage_mask(begin, staging);
  }
  out.how.bias_begin = static_cast<int>(begin.row * kMaxBiases);
  out.how.bias_count = stage_biases(begin, staging);
  if (penalises(how)) {
    out.how.history = static_cast<int>(begin.row);
    stage_history(begin, staging);
  }
  return out;
}

void SamplingRows::stage_mask(const Begin& begin, Staging& staging) {
  words_.assign(mask_words(vocabulary_), ~0u);
  for (const std::uint32_t id : begin.sampling->stop_ids)
    if (id < vocabulary_) words_[id / 32] &= ~(1u << id % 32);
  put(masks_.get() + std::size_t{begin.row} * words_.size(), std::span<const std::uint32_t>(words_), staging);
}

int SamplingRows::stage_biases(const Begin& begin, Staging& staging) {
  bias_.clear();
  for (const TokenBias& bias : begin.sampling->bias)
    if (bias.token < vocabulary_ && bias_.size() < kMaxBiases)
      bias_.push_back({static_cast<std::int32_t>(bias.token), bias.bias});
  put(biases_.get() + begin.row * kMaxBiases, std::span<const kernels::cuda::TokenBias>(bias_), staging);
  return static_cast<int>(bias_.size());
}

// Each distinct token of prompt and output, as the sequence has them so far; sampled ones are counted in on the device.
void SamplingRows::stage_history(const Begin& begin, Staging& staging) {
  tokens_.clear();
  const auto see = [&](std::uint32_t id, std::uint32_t count) {
    if (id >= vocabulary_) return;
    if (counts_[id] == 0) tokens_.push_back({static_cast<std::int32_t>(id), 0});
    counts_[id] = count == 0 ? counts_[id] | kernels::cuda::token_in_prompt : counts_[id] + count;
  };
  std::uint32_t position = 0;
  for (const auto& part : {begin.prompt, begin.generated})
    for (const std::uint32_t id : part) see(id, position++ < begin.prompt_tokens ? 0 : 1);
  for (kernels::cuda::TokenCount& token : tokens_)
    token.count = std::exchange(counts_[static_cast<std::size_t>(token.id)], 0);
  tokens_.resize(std::min<std::size_t>(tokens_.size(), history_capacity_));
  const auto size = static_cast<std::int32_t>(tokens_.size());
  put(history_.get() + std::size_t{begin.row} * history_capacity_,
      std::span<const kernels::cuda::TokenCount>(tokens_), staging);
  put(history_size_.get() + begin.row, std::span<const std::int32_t>(&size, 1), staging);
}

Status SamplingRows::send(const Staging& staging, const Stream& stream) {
  Status good;
  for (const Copy& copy : copies_)
    if (good)
      good = check(cudaMemcpyAsync(copy.to, staging.at<std::byte>(copy.place), copy.bytes,
                                   cudaMemcpyDeviceToDevice, stream.get()),
                   "sampling parameters");
  copies_.clear();
  return good;
}

void SamplingRows::fill(kernels::cuda::SamplingJob& job) const {
  job.bias = biases_.get();
  job.mask = masks_.get();
  job.history = history_.get();
  job.history_size = history_size_.get();
  job.history_capacity = static_cast<int>(history_capacity_);
}

}  // namespace serveloop::execute::cuda
