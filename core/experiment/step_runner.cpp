#include "experiment/step_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "experiment/draw.hpp"

namespace serveloop::experiment {
namespace {

using execute::BatchRow;

constexpr std::uint32_t kMostFilled = 1024;  // tokens of a prompt: longer ones cost more and fill no more

class Runner {
 public:
  Runner(execute::Executor& executor, const StepLimits& limits, std::uint32_t vocabulary)
      : executor_(executor), limits_(limits) {
    const Draws draws(1, "calibration tokens");
    tokens_.resize(std::min<std::uint64_t>(limits.context_tokens,
                                           std::uint64_t{touched_blocks(limits)} * limits.block_tokens));
    for (std::size_t i = 0; i < tokens_.size(); ++i)
      tokens_[i] = static_cast<std::uint32_t>(draws.uniform(i, 0, std::max(vocabulary, 1u) - 1));
  }

  // Fills blocks from this one on, at most so many, with the KV of one prompt. Returns how many it filled.
  Result<std::uint32_t> fill(std::uint32_t first_block, std::uint32_t most_blocks) {
    const std::uint32_t bt = limits_.block_tokens;
    const std::uint32_t whole = std::min(limits_.context_tokens, kMostFilled) / bt;  // blocks
    const std::uint32_t blocks = std::min(most_blocks, std::max(whole, 1u));
    const std::uint32_t tokens = std::min(limits_.context_tokens, blocks * bt);
    next_block_ = first_block;
    begin(0, tokens, tokens);
    for (std::uint32_t at = 0; at < tokens; at += rows_.front().tokens) {
      rows_.assign(1, {0, at, std::min(limits_.token_budget, tokens - at), false, false});
      if (auto done = step(); !done) return tl::unexpected(done.error());
    }
    return blocks;
  }

  // Appends kStepsAShape steps, in groups `group` and following.
  Status take(const StepShape& shape, std::uint32_t group, std::vector<MeasuredStep>& out) {
    next_block_ = 0;
    if (shape.decodes > 0)
      if (Status good = enter(shape); !good) return good;
    for (std::uint32_t chunk = 0; chunk < shape.chunks; ++chunk)
      begin(shape.decodes + chunk, shape.prompt_tokens(), shape.prompt_tokens() + 1);
    for (std::uint32_t i = 0; i < kStepsAShape; ++i) {
      rows_.clear();
      for (std::uint32_t row = 0; row < shape.decodes; ++row)
        rows_.push_back({row, shape.context + i, 1, true, true});
      for (std::uint32_t chunk = 0; chunk < shape.chunks; ++chunk)
        rows_.push_back({shape.decodes + chunk, shape.chunk_start + i * shape.chunk_tokens,
                         shape.chunk_tokens, i + 1 == kStepsAShape, false});
      Result<MeasuredStep> done = step();
      if (!done) return tl::unexpected(done.error());
      done->group = group + i;
      out.push_back(*done);
    }
    return {};
  }

 private:
  // As sequences whose prompt is cached but for its last token, so that they decode from the next step on.
  Status enter(const StepShape& shape) {
    rows_.clear();
    for (std::uint32_t row = 0; row < shape.decodes; ++row) {
      begin(row, shape.context, shape.decode_tokens());
      rows_.push_back({row, shape.context - 1, 1, true, false});
    }
    if (auto done = step(); !done) return tl::unexpected(done.error());
    return {};
  }
  void begin(std::uint32_t row, std::uint32_t prompt_tokens, std::uint32_t most_tokens) {
    const std::span<const std::uint32_t> prompt(tokens_);
    begins_.push_back(
        {row, 0, &sampling_, prompt_tokens, most_tokens - prompt_tokens, prompt.first(prompt_tokens), {}});
    const std::uint32_t blocks = blocks_of(most_tokens, limits_.block_tokens);
    for (std::uint32_t i = 0; i < blocks; ++i) changes_.push_back({row, i, next_block_++});
  }
  // Of rows_.
  Result<MeasuredStep> step() {
    MeasuredStep done;
    for (const BatchRow& row : rows_) {
      done.sampled += row.samples ? 1 : 0;
      if (row.decode) {
        ++done.decodes;
        done.decode_context += row.start + std::uint64_t{1};
      } else {
        ++done.chunks;
        done.prefill_tokens += row.tokens;
        done.prefill_pairs += sl_chunk_pairs(row.start, row.tokens);
      }
    }
    executor_.submit({steps_, 0, done.decodes, done.prefill_tokens, begins_, changes_, {}, rows_});
    begins_.clear();
    changes_.clear();
    const execute::Collected collected = executor_.collect();
    if (collected.failed)
      return fail(fmt::format("calibration: step {}", steps_), "one that works", collected.why);
    ++steps_;
    done.ns = collected.device_end_ns - collected.device_start_ns;
    return done;
  }

  execute::Executor& executor_;
  StepLimits limits_;
  std::vector<std::uint32_t> tokens_;  // of every prompt, which is as much of it as it needs
  Sampling sampling_;                  // the likeliest token
  std::vector<execute::Begin> begins_;
  std::vector<execute::TableChange> changes_;
  std::vector<BatchRow> rows_;
  std::uint32_t next_block_ = 0;
  std::uint64_t steps_ = 0;
};

std::vector<std::size_t> shuffled(std::size_t n, const Draws& draws, std::uint64_t round) {
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[draws.uniform(round * n + i, 0, i - 1)]);
  return order;
}

}  // namespace

Result<std::vector<MeasuredStep>> run_steps(execute::Executor& executor, const StepLimits& limits,
                                            std::uint32_t vocabulary, const StepRunOptions& options) {
  const std::vector<StepShape> plan = step_plan(limits);
  Runner runner(executor, limits, vocabulary);
  const std::uint32_t blocks = touched_blocks(limits);
  const double shapes = static_cast<double>(plan.size()) * (options.rounds + 1.0);
  const auto stopped = [&](double done) { return options.go_on && !options.go_on(done / (shapes + blocks)); };
  const auto stop = [] { return fail("calibration", "all of its steps", "an end before"); };
  for (std::uint32_t filled = 0; filled < blocks;) {
    if (stopped(filled)) return stop();
    const Result<std::uint32_t> more = runner.fill(filled, blocks - filled);
    if (!more) return tl::unexpected(more.error());
    filled += *more;
  }
  const Draws draws(1, "calibration order");
  std::vector<MeasuredStep> steps, warm_up;
  for (std::uint32_t round = 0; round <= options.rounds; ++round) {
    std::size_t taken = 0;
    for (const std::size_t at : shuffled(plan.size(), draws, round)) {
      if (stopped(blocks + static_cast<double>(round * plan.size() + taken++))) return stop();
      if (Status good = runner.take(plan[at], static_cast<std::uint32_t>(at * kStepsAShape),
                                    round == 0 ? warm_up : steps);
          !good)
        return tl::unexpected(good.error());
    }
  }
  return steps;
}

}  // namespace serveloop::experiment
