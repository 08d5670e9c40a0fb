// A paged cache with sequences of given lengths, its plain reference in F64, and one call of each kernel.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>

#include "check.cuh"
#include "kernels/cuda/attention.hpp"

namespace device_test {

using namespace serveloop::kernels::cuda;

// Keys and values of sequence s are a function of (seed, s, position), not of where they are stored.
struct AttentionCase {
  AttentionShape shape;
  std::vector<int> lengths;            // keys stored, a sequence
  std::vector<int> token_sequence;     // whom each token asks
  std::vector<std::int32_t> position;  // of each token; -1: unused
  std::uint64_t placement_seed = 1;    // which blocks
  std::uint64_t data_seed = 7;

  int tokens() const { return static_cast<int>(position.size()); }
  std::size_t row() const { return static_cast<std::size_t>(shape.q_heads) * shape.head_dim; }

  // One token at the end of each sequence.
  void decode_all() {
    token_sequence.resize(lengths.size());
    std::iota(token_sequence.begin(), token_sequence.end(), 0);
    position.clear();
    for (const int length : lengths) position.push_back(length - 1);
  }

  float key(int sequence, int pos, int head, int column, bool is_v) const {
    const std::uint64_t index = ((static_cast<std::uint64_t>(sequence) * 65536 + pos) * 64 + head) * 512 +
                                column * 2 + (is_v ? 1 : 0);
    return __bfloat162float(__float2bfloat16_rn(random_value(data_seed, index)));
  }

  // Depends on the sequence and position, so a token asks the same in any batch.
  float query(int token, int head, int column) const {
    const std::uint64_t index = ((static_cast<std::uint64_t>(token_sequence[token]) * 65536 +
                                  static_cast<std::uint64_t>(position[token] + 1)) *
                                     256 +
                                 head) *
                                    256 +
                                column;
    return __bfloat162float(__float2bfloat16_rn(random_value(data_seed + 1, index)));
  }
};

// [q_heads, head_dim] of one token: a plain softmax in F64.
inline std::vector<double> reference_attention(const AttentionCase& c, int token) {
  const AttentionShape& s = c.shape;
  std::vector<double> out(c.row(), 0.0);
  const int last = c.position[token];
  const int first = s.window > 0 ? std::max(0, last - s.window + 1) : 0;
  const int sequence = c.token_sequence[token];
  const int keys = last - first + 1;
  for (int kv_head = 0; kv_head < s.kv_heads; ++kv_head) {
    std::vector<float> k(static_cast<std::size_t>(keys) * s.head_dim), v(k.size());
    for (int i = 0; i < keys; ++i) {
      for (int d = 0; d < s.head_dim; ++d) {
        k[static_cast<std::size_t>(i) * s.head_dim + d] = c.key(sequence, first + i, kv_head, d, false);
        v[static_cast<std::size_t>(i) * s.head_dim + d] = c.key(sequence, first + i, kv_head, d, true);
      }
    }
    const int group = s.q_heads / s.kv_heads;
    for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      std::vector<double> score(keys);
      for (int i = 0; i < keys; ++i) {
        double sum = 0.0;
        for (int d = 0; d < s.head_dim; ++d)
          sum +=
              static_cast<double>(c.query(token, head, d)) * k[static_cast<std::size_t>(i) * s.head_dim + d];
        score[i] = sum * s.scale;
        if (s.soft_cap > 0.0f) score[i] = s.soft_cap * std::tanh(score[i] / s.soft_cap);
      }
      const double most = *std::max_element(score.begin(), score.end());
      double total = 0.0;
      for (double& x : score) total += x = std::exp(x - most);
      for (int i = 0; i < keys; ++i) {
        for (int d = 0; d < s.head_dim; ++d)
          out[static_cast<std::size_t>(head) * s.head_dim + d] +=
              score[i] / total * v[static_cast<std::size_t>(i) * s.head_dim + d];
      }
    }
  }
  return out;
}

// The case's cache on the device. Slots that hold no key are NaN.
struct StoredCase {
  int stride;
  std::int64_t block_elements;
  Buffer<bf16> k, v, queries;
  Buffer<std::int32_t> table;

  explicit StoredCase(const AttentionCase& c)
      : stride((*std::max_element(c.lengths.begin(), c.lengths.end()) + c.shape.block_tokens - 1) /
               c.shape.block_tokens),
        block_elements(static_cast<std::int64_t>(c.shape.kv_heads) * c.shape.block_tokens * c.shape.head_dim),
        k(elements(c)),
        v(elements(c)),
        queries(c.tokens() * c.row()),
        table(static_cast<std::size_t>(stride) * c.lengths.size()) {
    const AttentionShape& s = c.shape;
    std::vector<std::int32_t> ids(blocks(c)), rows(table.size(), -1);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937_64(c.placement_seed));
    std::vector<bf16> k_values(k.size(), __ushort_as_bfloat16(0x7fff)), v_values(k_values);
    int next = 0;
    for (int sequence = 0; sequence < static_cast<int>(c.lengths.size()); ++sequence) {
      for (int pos = 0; pos < c.lengths[sequence]; ++pos) {
        std::int32_t& id = rows[static_cast<std::size_t>(sequence) * stride + pos / s.block_tokens];
        if (id < 0) id = ids[next++];
        for (int head = 0; head < s.kv_heads; ++head) {
          const std::size_t at =
              id * block_elements +
              (static_cast<std::size_t>(head) * s.block_tokens + pos % s.block_tokens) * s.head_dim;
          for (int d = 0; d < s.head_dim; ++d) {
            k_values[at + d] = __float2bfloat16_rn(c.key(sequence, pos, head, d, false));
            v_values[at + d] = __float2bfloat16_rn(c.key(sequence, pos, head, d, true));
          }
        }
      }
    }
    k.put(k_values);
    v.put(v_values);
    table.put(rows);
    std::vector<bf16> q(queries.size());
    for (int token = 0; token < c.tokens(); ++token) {
      for (int i = 0; i < static_cast<int>(c.row()); ++i)
        q[token * c.row() + i] = __float2bfloat16_rn(c.query(token, i / s.head_dim, i % s.head_dim));
    }
    queries.put(q);
  }

  AttentionCache cache() const { return {k.get(), v.get(), block_elements, table.get(), stride}; }

 private:
  int blocks(const AttentionCase& c) const { return stride * static_cast<int>(c.lengths.size()) + 3; }
  std::size_t elements(const AttentionCase& c) const { return block_elements * blocks(c); }
};

// The output of decode_attention() [tokens, q_heads, head_dim], NaN where nothing was written.
inline std::vector<bf16> run_attention(const AttentionCase& c, int repeats = 1) {
  const StoredCase stored(c);
  int items = 0;
  for (const int position : c.position) items += attention_items(position, c.shape.window);
  const Buffer<std::int32_t> positions(c.position), rows(c.token_sequence);
  const int max_tokens = c.tokens() + 5;
  const Buffer<std::int32_t> words(attention_plan_words(max_tokens, items));
  const std::size_t bytes = attention_workspace_bytes(c.shape, max_tokens, items);
  Buffer<char> workspace(bytes);
  workspace.poison();
  Buffer<bf16> out(stored.queries.size());
  const AttentionRows asking{positions.get(), rows.get(), c.tokens()};
  const AttentionPlan plan{words.get(), max_tokens, items};
  require(clear_attention_workspace(workspace.get(), bytes, nullptr));
  require(plan_attention(asking, c.shape.window, plan, nullptr));
  for (int i = 0; i < repeats; ++i) {  // the workspace has to come back clean
    out.poison();
    require(decode_attention(c.shape, asking, stored.cache(), plan, stored.queries.get(),
                             static_cast<std::int64_t>(c.row()), out.get(), workspace.get(), nullptr));
  }
  require(cudaDeviceSynchronize(), "attention");
  return out.take();
}

// The output of prefill_attention() for the tokens of the case, cut into chunks where neighbours are not
// consecutive tokens of one sequence and at each of `cuts`.
inline std::vector<bf16> run_prefill(const AttentionCase& c, const std::vector<int>& cuts = {}) {
  const StoredCase stored(c);
  std::vector<std::int32_t> start, position, row;
  for (int token = 0; token < c.tokens(); ++token) {
    const bool follows = token > 0 && c.token_sequence[token] == c.token_sequence[token - 1] &&
                         c.position[token] == c.position[token - 1] + 1;
    if (follows && std::find(cuts.begin(), cuts.end(), token) == cuts.end()) continue;
    start.push_back(token);
    position.push_back(c.position[token]);
    row.push_back(c.token_sequence[token]);
  }
  start.push_back(c.tokens());
  const Buffer<std::int32_t> starts(start), positions(position), rows(row);
  Buffer<bf16> out(stored.queries.size());
  out.poison();
  const AttentionChunks chunks{starts.get(), positions.get(), rows.get(), static_cast<int>(position.size()),
                               c.tokens()};
  require(prefill_attention(c.shape, chunks, stored.cache(), stored.queries.get(),
                            static_cast<std::int64_t>(c.row()), out.get(), nullptr));
  require(cudaDeviceSynchronize(), "prefill");
  return out.take();
}

}  // namespace device_test
