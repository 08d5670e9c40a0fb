// Between submit and collect: what a batch changes, whether its rows can be read, the pass, and the tokens' way back.
// The engine's batches are right; they are checked all the same, since a wrong id would be a wild read.
#include "execute/cpu/cpu_executor.hpp"

#include <fmt/format.h>
#include <serveloop/base.h>

#include <algorithm>
#include <exception>
#include <limits>

namespace serveloop::execute::cpu {
namespace {

constexpr std::int32_t kNoBlock = -1;

}  // namespace

// Hands each run's logits to the sampler. What goes wrong there fails the step: no exception may leave a worker, and a
// row without a number has no likeliest token.
class CpuExecutor::Choosing final : public LogitSink {
 public:
  Choosing(CpuExecutor& executor, Job& job) : executor_(executor), job_(job) {}
  void take(std::size_t run, float* logits, int vocabulary) noexcept override {
    try {
      if (std::any_of(logits, logits + vocabulary, [](float x) { return x > kNone; }))  // mostly the first
        return choose(run, logits, vocabulary);
      const std::lock_guard lock(mutex_);
      empty_ = std::min(empty_, run);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
  }

  // After the pass, by one thread. Throws what the sampler threw.
  Status went() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
    if (empty_ == kNoRun) return {};
    const BatchRow& at = job_.rows[empty_];
    return fail(fmt::format("step {}: logits of row {} at position {}", job_.step, at.row,
                            std::uint64_t{at.start} + at.tokens - 1),
                "a number above minus infinity", "none",
                "the weights are broken, or too large for the precision plan");
  }

 private:
  static constexpr std::size_t kNoRun = SIZE_MAX;
  static constexpr float kNone = -std::numeric_limits<float>::infinity();

  void choose(std::size_t run, float* logits, int vocabulary) {
    const BatchRow& at = job_.rows[run];
    const Row& row = executor_.rows_[at.row];
    const std::uint32_t position = at.start + at.tokens;
    std::vector<TokenLogprob> none;  // allocates nothing
    job_.tokens[run] = executor_.sampler_->sample(
        {at.row, &row.sampling, row.fork, position, row.prompt_tokens, std::span(row.tokens).first(position)},
        logits, vocabulary, row.sampling.alternatives ? job_.logprobs[run] : none);
  }

  CpuExecutor& executor_;
  Job& job_;
  std::mutex mutex_;  // guards what follows, during the pass
  std::exception_ptr error_;
  std::size_t empty_ = kNoRun;  // the first run without a number
};

void CpuExecutor::compute(Job& job) {
  job.start_ns = clock_.now_ns();
  job.tokens.assign(job.rows.size(), 0);
  job.logprobs.clear();
  if (copier_ != nullptr) copier_->begin(job.copies);
  Status good;
  try {
    good = edit_rows(job);
    if (good) good = step(job);
  } catch (const std::exception& error) {
    good = fail(fmt::format("step {}", job.step), {}, error.what());
  } catch (...) {
    good = fail(fmt::format("step {}", job.step), {}, "an exception that tells nothing");
  }
  job.failed = !good;
  if (!good) std::fill(job.tokens.begin(), job.tokens.end(), 0);
  job.why = good ? "" : good.error().message();
  feed_back(job);
  job.end_ns = clock_.now_ns();
  job.decode_ns = decode_time_.of(job.decodes, job.prefill_tokens, job.end_ns - job.start_ns);
}

Status CpuExecutor::edit_rows(const Job& job) {
  for (const JobBegin& begin : job.begins) {
    if (Status good = check_row(job, begin.row); !good) return good;
    Row& row = rows_[begin.row];
    row.sampling = begin.sampling;
    row.fork = begin.fork;
    row.prompt_tokens = begin.prompt_tokens;
    const auto first = job.known.begin() + static_cast<std::ptrdiff_t>(begin.first_token);
    const std::size_t most = std::size_t{options_.blocks} * options_.block_tokens;
    row.tokens.reserve(std::min(begin.tokens + begin.max_tokens, most));  // so that decodes do not allocate
    row.tokens.assign(first, first + static_cast<std::ptrdiff_t>(begin.tokens));
    row.table.clear();
    row.holes = 0;
  }
  for (const TableChange& change : job.changes) {
    if (Status good = check_row(job, change.row); !good) return good;
    if (change.index >= options_.blocks)
      return fail(fmt::format("step {}: block table of row {}", job.step, change.row),
                  fmt::format("entries below {}, one a block", options_.blocks),
                  std::to_string(change.index));
    Row& row = rows_[change.row];
    if (change.index >= row.table.size()) {
      row.holes += change.index + 1 - static_cast<std::uint32_t>(row.table.size());
      row.table.resize(change.index + 1, kNoBlock);
    }
    std::int32_t& entry = row.table[change.index];
    row.holes -= entry == kNoBlock ? 1 : 0;
    entry = change.block < options_.blocks ? static_cast<std::int32_t>(change.block) : kNoBlock;
    row.holes += entry == kNoBlock ? 1 : 0;
  }
  return {};
}

Status CpuExecutor::check_row(const Job& job, std::uint32_t row) const {
  if (row < rows_.size()) return {};
  return fail(fmt::format("step {}: row", job.step), fmt::format("below {}", rows_.size()),
              std::to_string(row));
}

Status CpuExecutor::step(Job& job) {
  if (job.mode >= modes_.size() || !modes_[job.mode])
    return fail(fmt::format("step {}: precision mode {}", job.step, job.mode), "a mode that was applied");
  if (Status good = make_runs(job); !good) return good;
  if (runs_.empty()) return {};
  for (const BatchRow& at : job.rows)
    if (at.samples && rows_[at.row].sampling.alternatives) job.logprobs.resize(job.rows.size());
  Choosing choosing(*this, job);
  forward_->pass(runs_, *modes_[job.mode], *cache_, choosing);
  return choosing.went();
}

Status CpuExecutor::make_runs(const Job& job) {
  runs_.clear();
  std::uint64_t tokens = 0;
  for (const BatchRow& at : job.rows) {
    if (Status good = check_row(job, at.row); !good) return good;
    if (Status good = check_run(at); !good) return good;
    const Row& row = rows_[at.row];
    runs_.push_back({at.start, at.tokens, row.tokens.data() + at.start, row.table.data(), at.samples});
    tokens += at.tokens;
  }
  if (tokens > options_.token_budget || runs_.size() > options_.max_sequences)
    return fail(
        fmt::format("step {}", job.step),
        fmt::format("at most {} tokens of {} sequences", options_.token_budget, options_.max_sequences),
        fmt::format("{} of {}", tokens, runs_.size()));
  return {};
}

Status CpuExecutor::check_run(const BatchRow& at) const {
  const auto bad = [&](std::string expected, std::string found) {
    return fail(fmt::format("row {}, tokens {} .. {}", at.row, at.start, std::uint64_t{at.start} + at.tokens),
                std::move(expected), std::move(found));
  };
  const Row& row = rows_[at.row];
  const std::uint64_t end = std::uint64_t{at.start} + at.tokens;
  if (at.tokens == 0 || end > row.tokens.size())
    return bad("known tokens, at least one", fmt::format("{} known", row.tokens.size()));
  if (at.samples && end < row.prompt_tokens)
    return bad("a sample behind the prompt", fmt::format("a prompt of {}", row.prompt_tokens));
  for (std::uint64_t i = at.start; i < end; ++i)
    if (row.tokens[i] >= model_.architecture.vocabulary)
      return bad(fmt::format("ids below {}", model_.architecture.vocabulary), std::to_string(row.tokens[i]));
  if (row.holes > 0 || row.table.size() * options_.block_tokens < end)
    return bad("blocks for all positions", fmt::format("{} blocks, {} missing", row.table.size(), row.holes));
  return {};
}

// After a failed step the token is 0, which the engine does not use: its sequences begin anew.
void CpuExecutor::feed_back(const Job& job) {
  for (std::size_t i = 0; i < job.rows.size(); ++i)
    if (job.rows[i].samples && job.rows[i].row < rows_.size())
      rows_[job.rows[i].row].tokens.push_back(job.tokens[i]);
}

}  // namespace serveloop::execute::cpu
