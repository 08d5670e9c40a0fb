// Rows of logits with their requests, a plain reference on the host, and one call of sample().
#pragma once

#include <algorithm>
#include <numeric>

#include "check.cuh"
#include "kernels/cuda/sampling.hpp"
#include "kernels/token_weight.hpp"

namespace device_test {

using namespace serveloop::kernels;
using namespace serveloop::kernels::cuda;

struct Sampled {
  std::vector<std::int32_t> token, alternative;
  std::vector<float> logprob, alternative_logprob;
};

struct SamplingCase {
  int vocabulary = 0;
  bool wide = false;          // F32 logits; else they are rounded to BF16
  std::vector<float> logits;  // [rows, vocabulary]
  std::vector<SamplingRow> row;
  std::vector<std::int32_t> position;
  std::vector<TokenBias> bias;
  std::vector<std::uint32_t> mask;
  std::vector<std::vector<TokenCount>> history;

  int rows() const { return static_cast<int>(row.size()); }
};

inline float logit_of(const SamplingCase& c, int row, int id) {
  const float logit = c.logits[static_cast<std::size_t>(row) * c.vocabulary + id];
  return clean_logit(c.wide ? logit : __bfloat162float(__float2bfloat16_rn(logit)));
}

inline std::vector<float> changed_logits(const SamplingCase& c, int index) {
  const SamplingRow& row = c.row[index];
  std::vector<float> z(c.vocabulary);
  for (int id = 0; id < c.vocabulary; ++id) {
    z[id] = logit_of(c, index, id);
    const std::size_t words = (static_cast<std::size_t>(c.vocabulary) + 31) / 32;
    if (row.mask >= 0 && (c.mask[row.mask * words + id / 32] >> (id % 32) & 1) == 0) z[id] = -INFINITY;
  }
  for (int i = 0; i < row.bias_count; ++i) {
    const TokenBias& b = c.bias[row.bias_begin + i];
    z[b.id] = clean_logit(z[b.id] + b.bias);
  }
  if (row.history >= 0 && (row.repetition != 1.0f || row.presence != 0.0f || row.frequency != 0.0f)) {
    for (const TokenCount& seen : c.history[row.history])
      z[seen.id] = clean_logit(penalised_logit(z[seen.id], row.repetition, row.presence, row.frequency,
                                               static_cast<int>(seen.count & ~token_in_prompt)));
  }
  return z;
}

// Ids in order, likeliest first.
inline std::vector<int> in_order(const std::vector<float>& z) {
  std::vector<int> ids(z.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return z[a] > z[b]; });
  return ids;
}

// Ids that survive the cuts, in order, by sorting.
inline std::vector<int> survivors(const SamplingRow& row, const std::vector<float>& z,
                                  const std::vector<int>& order, std::vector<std::uint64_t>& weight) {
  const float most = z[order[0]], scale = token_scale(row.temperature);
  const auto least = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::min(row.min_p, 1.0f) * static_cast<float>(token_weight_one)));
  std::vector<int> kept;
  weight.assign(z.size(), 0);
  for (const int id : order) {
    const std::uint64_t w = token_weight(z[id], most, scale);
    if (w < least) continue;
    weight[id] = w;
    kept.push_back(id);
  }
  if (row.top_k > 0 && static_cast<int>(kept.size()) > row.top_k) kept.resize(row.top_k);
  std::uint64_t total = 0;
  for (const int id : kept) total += weight[id];
  if (row.top_p < 1.0f && !kept.empty()) {
    const auto share =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(std::max(row.top_p, 0.0f)) *
                                                              static_cast<double>(total)));
    std::uint64_t sum = 0;
    std::size_t count = 0;
    while (sum < share) sum += weight[kept[count++]];
    kept.resize(count);
  }
  return kept;
}

inline int reference_token(const SamplingCase& c, int index) {
  const SamplingRow& row = c.row[index];
  const std::vector<float> z = changed_logits(c, index);
  const std::vector<int> order = in_order(z);
  if (!(row.temperature > 0.0f)) return order[0];
  std::vector<std::uint64_t> weight;
  std::vector<int> kept = survivors(row, z, order, weight);
  if (kept.empty()) return order[0];
  std::sort(kept.begin(), kept.end());
  std::uint64_t total = 0;
  for (const int id : kept) total += weight[id];
  const auto mark = static_cast<std::uint64_t>(
      static_cast<unsigned __int128>(token_random(row.seed, row.fork, c.position[index])) * total >> 64);
  std::uint64_t sum = 0;
  for (const int id : kept)
    if ((sum += weight[id]) > mark) return id;
  return -1;
}

// Counts the tokens into the case's histories as the kernel has them after the call.
inline Sampled run_sampling(SamplingCase& c, int history_capacity = 512) {
  const std::size_t rows = c.row.size();
  const std::size_t stride = static_cast<std::size_t>(c.vocabulary) + (c.vocabulary % 3 == 0 ? 8 : 3);
  std::vector<float> padded(rows * stride, NAN);
  std::vector<bf16> narrow(rows * stride);
  for (std::size_t r = 0; r < rows; ++r)
    std::copy_n(c.logits.begin() + r * c.vocabulary, c.vocabulary, padded.begin() + r * stride);
  for (std::size_t i = 0; i < padded.size(); ++i) narrow[i] = __float2bfloat16_rn(padded[i]);
  const Buffer<float> wide_logits(padded);
  const Buffer<bf16> narrow_logits(narrow);
  const Buffer<SamplingRow> row(c.row);
  const Buffer<std::int32_t> position(c.position);
  const Buffer<TokenBias> bias(c.bias);
  const Buffer<std::uint32_t> mask(c.mask);
  std::vector<TokenCount> entries(std::max<std::size_t>(1, c.history.size() * history_capacity));
  std::vector<std::int32_t> sizes(c.history.size());
  for (std::size_t i = 0; i < c.history.size(); ++i) {
    std::copy(c.history[i].begin(), c.history[i].end(), entries.begin() + i * history_capacity);
    sizes[i] = static_cast<std::int32_t>(c.history[i].size());
  }
  const Buffer<TokenCount> history(entries);
  const Buffer<std::int32_t> history_size(sizes);
  Buffer<std::int32_t> token(rows), alternative(rows * sampling_max_alternatives);
  Buffer<float> logprob(rows), alternative_logprob(rows * sampling_max_alternatives);
  token.poison(), alternative.poison(), logprob.poison(), alternative_logprob.poison();
  SamplingJob job;
  (c.wide ? job.logits_f32 = wide_logits.get() : nullptr);
  if (!c.wide) job.logits = narrow_logits.get();
  job.logits_stride = static_cast<std::int64_t>(stride);
  job.rows = static_cast<int>(rows);
  job.vocabulary = c.vocabulary;
  job.row = row.get();
  job.position = position.get();
  job.bias = bias.get();
  job.mask = mask.get();
  job.history = history.get();
  job.history_size = history_size.get();
  job.history_capacity = history_capacity;
  job.token = token.get();
  job.logprob = logprob.get();
  job.alternative = alternative.get();
  job.alternative_logprob = alternative_logprob.get();
  require(sample(job, nullptr));
  require(cudaDeviceSynchronize(), "sample");
  entries = history.take();
  sizes = history_size.take();
  for (std::size_t i = 0; i < c.history.size(); ++i)
    c.history[i].assign(entries.begin() + i * history_capacity,
                        entries.begin() + i * history_capacity + std::min(sizes[i], history_capacity));
  return {token.take(), alternative.take(), logprob.take(), alternative_logprob.take()};
}

}  // namespace device_test
