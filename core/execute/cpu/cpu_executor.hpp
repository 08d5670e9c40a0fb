// The CPU executor: real forward passes of any architecture over a paged cache. Start here, then forward.hpp.
//
//   submit -> Job (a copy of the batch) -> Rows (tokens, tables) -> Forward::pass -> Sampler -> Job's tokens -> collect
//
// At lag 0 a step is computed within collect(), by the loop thread and the pool's. At lag 1 a device thread of its own
// takes jobs in order, so submit returns at once; a token that a step samples is in its row before the next one begins.
// Rows, tables and the cache belong to whichever thread computes; a step's copies between the tiers begin with it, on a
// thread of their own (copier.hpp).
//
// Thread safety: submit and collect by the loop thread; apply while no step is in flight. The clock's now_ns() is called
// from the device thread: at lag 1 it must be safe to (SteadyClock is).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "execute/copier.hpp"
#include "execute/cpu/forward.hpp"
#include "execute/cpu/sampler.hpp"
#include "execute/decode_time.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cpu {

struct CpuOptions {
  unsigned threads = 1;  // that compute, one of them the loop's or the device thread
  std::uint32_t lag = 0;
  std::uint32_t max_sequences = 256;
  std::uint32_t token_budget = 2048;  // a batch with more tokens fails
  std::uint32_t block_tokens = 16;    // a power of two
  std::uint32_t blocks = 0;
  kernels::cpu::Isa isa = kernels::cpu::detect();
  std::uint32_t host_blocks = 0;  // of the tier in host memory; 0: none
};

class CpuExecutor final : public Executor {
 public:
  // Packs the weights; the model's own are let go, so that what becomes of its file does not matter. The cache is
  // allocated by the first apply(), which says in what numbers it is kept. Fails where memory or threads are short.
  static Result<std::unique_ptr<CpuExecutor>> create(Clock& clock, model::Model model,
                                                     const CpuOptions& options);
  ~CpuExecutor() override;

  void submit(const Batch& batch) override;
  Collected collect() override;
  std::span<const sl_op_key> op_keys() const override { return keys_; }
  // Refuses what numerics.hpp does not name, and modes that keep K and V in other types than the first mode applied.
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override;
  // With dtypes in place of NATIVE. Empty where the mode was not applied.
  std::span<const sl_op_plan> effective(std::uint32_t mode) const override;
  // Of the KV cache under these plans.
  Result<std::uint64_t> block_bytes(std::span<const sl_op_plan> plans) const;
  // How many blocks the cache has, where the options did not say: they may depend on the plan. Before apply().
  void set_blocks(std::uint32_t blocks, std::uint32_t host_blocks) {
    options_.blocks = blocks;
    options_.host_blocks = host_blocks;
  }

  void set_sampler(std::unique_ptr<Sampler> sampler) { sampler_ = std::move(sampler); }  // no step in flight
  void set_times(PassTimes* times) { forward_->times = times; }                          // likewise
  // While no copy is pending. There is a host tier, and a mode was applied.
  void watch_copies(Copier::Watch watch) { copier_->watch(std::move(watch)); }
  // Without weights.
  const model::Model& model() const { return model_; }

 private:
  struct Row {
    Sampling sampling;
    std::uint32_t fork = 0, prompt_tokens = 0;
    std::vector<std::uint32_t> tokens;  // known, those sampled here included
    std::vector<std::int32_t> table;
    std::uint32_t holes = 0;  // entries of the table without a block
  };
  struct JobBegin {
    std::uint32_t row, fork, prompt_tokens;
    Sampling sampling;
    std::size_t first_token, tokens;  // of Job::known
    std::uint32_t max_tokens;
  };
  struct Job {
    std::uint64_t step = 0, start_ns = 0, end_ns = 0, decode_ns = 0;
    std::uint32_t mode = 0, decodes = 0, prefill_tokens = 0;
    std::vector<JobBegin> begins;
    std::vector<std::uint32_t> known;
    std::vector<TableChange> changes;
    std::vector<BlockCopy> copies;
    std::vector<BatchRow> rows;
    std::vector<std::uint32_t> tokens;                // the result, one a row
    std::vector<std::vector<TokenLogprob>> logprobs;  // likewise; empty where no row asks
    std::string why;                                  // it failed
    bool failed = false, done = false;
  };
  class Choosing;

  CpuExecutor(Clock& clock, model::Model model, const CpuOptions& options);
  static Result<std::unique_ptr<CpuExecutor>> make(Clock& clock, model::Model model,
                                                   const CpuOptions& options);
  Job& job(std::uint64_t number) { return jobs_[number % jobs_.size()]; }
  void serve();
  void compute(Job& job);
  Status edit_rows(const Job& job);
  Status check_row(const Job& job, std::uint32_t row) const;
  Status make_runs(const Job& job);
  Status check_run(const BatchRow& at) const;
  Status step(Job& job);
  void feed_back(const Job& job);
  // A block between the tiers, on the copies' thread. False: one of them is not there.
  Status make_caches(const Numerics& numerics);
  bool move(const BlockCopy& copy) const;
  const KvCache* cache_of(std::uint8_t tier, std::uint32_t block) const;

  Clock& clock_;
  model::Model model_;
  CpuOptions options_;
  const kernels::cpu::Kernels& kernels_;
  Pool pool_;
  Weights weights_;
  std::vector<sl_op_key> keys_;
  std::vector<std::optional<Numerics>> modes_;
  std::optional<KvCache> cache_, host_cache_;
  std::unique_ptr<Copier> copier_;  // where there is a host tier
  std::vector<std::uint64_t> copies_failed_;
  std::unique_ptr<Forward> forward_;
  std::unique_ptr<Sampler> sampler_;
  DecodeTime decode_time_;
  std::vector<Row> rows_;
  std::vector<Run> runs_;  // of the step at hand

  // A ring: submitted_ - collected_ are in flight. One more than that, so that collected tokens stay.
  std::vector<Job> jobs_;
  std::uint64_t submitted_ = 0, collected_ = 0;
  std::mutex mutex_;  // guards submitted_, Job::done and stop_ where there is a device thread
  std::condition_variable to_do_, done_;
  bool stop_ = false;
  std::thread device_;
};

}  // namespace serveloop::execute::cpu
