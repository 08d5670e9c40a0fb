// A CPU executor with little in it, played by hand.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "tiny_models.hpp"

namespace serveloop::execute::cpu::test {

// An executor of two rows and eight blocks of four tokens.
struct Small {
  explicit Small(std::uint32_t lag = 0, unsigned threads = 1, std::uint32_t host_blocks = 0) {
    CpuOptions options{threads, lag, 2, 16, 4, 8};
    options.host_blocks = host_blocks;
    executor = CpuExecutor::create(clock, random(qwen2()), options).value();
    BOOST_REQUIRE(executor->apply(0, plans_of(executor->op_keys(), SL_F32, SL_F32)));
  }
  void begin(std::uint32_t row, const std::vector<std::uint32_t>& prompt, std::vector<std::uint32_t> blocks) {
    kept.push_back(prompt);
    begins.push_back({row, 0, &sampling, static_cast<std::uint32_t>(prompt.size()), 9, kept.back(), {}});
    for (std::uint32_t i = 0; i < blocks.size(); ++i) changes.push_back({row, i, blocks[i]});
  }
  void submit(std::vector<BatchRow> rows) {
    Batch batch{step++, mode, 0, 0, begins, changes, copies, rows};
    for (const BatchRow& row : rows) (row.decode ? batch.decodes : batch.prefill_tokens) += row.tokens;
    executor->submit(batch);
    handed_over += copies.size();
    begins.clear();
    changes.clear();
    copies.clear();
  }
  Collected run(std::vector<BatchRow> rows) {
    submit(std::move(rows));
    return executor->collect();
  }
  SteadyClock clock;
  std::unique_ptr<CpuExecutor> executor;
  std::deque<std::vector<std::uint32_t>> kept;  // prompts, until they are submitted
  Sampling sampling;
  std::vector<Begin> begins;
  std::vector<TableChange> changes;
  std::vector<BlockCopy> copies;
  std::uint64_t step = 0, handed_over = 0;  // copies, so far
  std::uint32_t mode = 0;
};

inline const std::vector<std::uint32_t> kPrompt = {5, 6, 7, 8, 9, 10};

}  // namespace serveloop::execute::cpu::test
