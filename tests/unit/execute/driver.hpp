// Drives a hash executor as the engine would: begins, table changes, chunks, at lag 0 or 1.
#pragma once

#include <serveloop/cost.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "base/virtual_clock.hpp"
#include "execute/hash.hpp"

namespace serveloop::execute::test {

using Tokens = std::vector<std::uint32_t>;

inline constexpr std::uint32_t kBlockTokens = 4, kBlocks = 64, kRows = 8;

inline sl_cost small_cost() {
  sl_cost cost{};
  cost.struct_size = sizeof cost;
  cost.step_fixed_ns = 1000;
  cost.decode_sequence_ns = 100;
  cost.decode_context_ns = 2;
  cost.prefill_token_ns = 50;
  cost.prefill_context_ns = 0.5;
  return cost;
}

inline Tokens prompt_of(std::uint32_t tokens, std::uint32_t salt) {
  Tokens prompt(tokens);
  for (std::uint32_t i = 0; i < tokens; ++i) prompt[i] = (salt * 7919 + i * 104729) % 31991;
  return prompt;
}

inline Tokens blocks_from(std::uint32_t first, std::uint32_t count) {
  Tokens blocks(count);
  for (std::uint32_t i = 0; i < count; ++i) blocks[i] = first + i;
  return blocks;
}

inline Batch batch_of(std::uint64_t step, std::span<const Begin> begins, std::span<const TableChange> changes,
                      std::span<const BatchRow> rows) {
  Batch batch{step, 0, 0, 0, begins, changes, {}, rows};
  for (const BatchRow& row : rows) (row.decode ? batch.decodes : batch.prefill_tokens) += row.tokens;
  return batch;
}

class Driver {
 public:
  void begin(std::uint32_t row, const Tokens& prompt, const Tokens& table, std::uint64_t seed = 1,
             std::uint32_t fork = 0, const Tokens& generated = {}) {
    kept_.push_back(prompt);
    kept_.push_back(generated);
    samplings_.push_back({.seed = seed});
    begins_.push_back({row, fork, &samplings_.back(), static_cast<std::uint32_t>(prompt.size()), 100,
                       kept_[kept_.size() - 2], kept_.back()});
    for (std::uint32_t i = 0; i < table.size(); ++i) change(row, i, table[i]);
  }
  void change(std::uint32_t row, std::uint32_t index, std::uint32_t block) {
    changes_.push_back({row, index, block});
  }

  void submit(const std::vector<BatchRow>& rows) {
    executor.submit(batch_of(step_++, begins_, changes_, rows));
    begins_.clear();
    changes_.clear();
  }
  Tokens collect() {
    const Collected done = executor.collect();
    return {done.tokens.begin(), done.tokens.end()};
  }
  Tokens step(const std::vector<BatchRow>& rows) {
    submit(rows);
    return collect();
  }

  // `count` tokens for a row whose KV below `from` is there: prefill up to `known` in chunks, then decode.
  Tokens run(std::uint32_t row, std::uint32_t known, std::uint32_t chunk, std::uint32_t count,
             std::uint32_t lag = 0, std::uint32_t from = 0) {
    Tokens out;
    std::deque<bool> samples;  // of steps in flight
    const auto take = [&] {
      const Tokens got = collect();
      if (samples.front()) out.push_back(got.front());
      samples.pop_front();
    };
    std::uint32_t at = from;
    for (std::uint32_t sampled = 0; sampled < count;) {
      const std::uint32_t tokens = at < known ? std::min(chunk, known - at) : 1;
      const bool last = at + tokens >= known;
      submit({{row, at, tokens, last, at >= known}});
      samples.push_back(last);
      at += tokens;
      sampled += last ? 1 : 0;
      if (samples.size() > lag) take();
    }
    while (!samples.empty()) take();
    return out;
  }

  std::uint64_t next_step() const { return step_; }

  VirtualClock clock;
  HashExecutor executor{clock, small_cost(), kRows, kBlocks, kBlockTokens};

 private:
  std::uint64_t step_ = 0;
  std::deque<Tokens> kept_;
  std::deque<Sampling> samplings_;
  std::vector<Begin> begins_;
  std::vector<TableChange> changes_;
};

// What a sequence gets alone: one chunk, blocks in order, lag 0.
inline Tokens alone(const Tokens& prompt, std::uint32_t count, std::uint64_t seed = 1,
                    std::uint32_t fork = 0) {
  Driver driver;
  driver.begin(0, prompt, blocks_from(0, kBlocks), seed, fork);
  return driver.run(0, static_cast<std::uint32_t>(prompt.size()), UINT32_MAX, count);
}

}  // namespace serveloop::execute::test
