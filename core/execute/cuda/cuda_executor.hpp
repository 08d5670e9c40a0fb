// The CUDA executor: forward passes in BF16 over a paged cache on one device. Start here, then pass.hpp.
//
//   submit   batch -> Rows (checked) -> Staging -> edit_rows, prepare_step -> Pass -> sampled tokens -> rows, host
//   collect  waits for the step's event -> tokens, log-probabilities, times
//
// All of a step but its copies between the tiers (host_pool.hpp) goes on one stream, in the order of submission, so a
// block or a row that a submitted step touches may be given to the next one. A sampled token is its row's next input on
// the device: at lag 1 a step is enqueued before the host knows the tokens of the one before it. No kernel's result
// depends on the batch (kernels/cuda/README.md), so there is one mode, and it is deterministic.
//
// A batch that cannot be is refused before it reaches the device and fails alone. An error of the device (a fault in a
// kernel) is CUDA's to keep: that step and all after it fail, with its words.
//
// Thread safety: create, apply and the facts by one thread while no step is in flight; submit and collect by the loop
// thread. Takes the device that is current in create() and needs it current in every call.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "execute/copier.hpp"
#include "execute/cuda/graphs.hpp"
#include "execute/cuda/host_pool.hpp"
#include "execute/cuda/layout.hpp"
#include "execute/cuda/row_memory.hpp"
#include "execute/cuda/rows.hpp"
#include "execute/cuda/timeline.hpp"
#include "execute/decode_time.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cuda {

struct CudaOptions {
  std::uint32_t lag = 1;
  std::uint32_t max_sequences = 256;
  std::uint32_t token_budget = 2048;  // a batch with more tokens fails; at most 16,384
  std::uint32_t block_tokens = 16;    // a power of two, 16 to 1,024
  std::uint32_t blocks = 0, host_blocks = 0;
  std::uint32_t context_tokens = 0;  // a sequence has at most so many; 0: the model's positions
  bool graphs = true;                // steps of decodes alone are captured once a size and replayed
  std::string products_cache;        // a folder for the choices of products; empty: none
};

class CudaExecutor final : public Executor {
 public:
  // Uploads the weights, and lets the model's own go; plans products, which takes seconds where no cache knows them.
  // Fails where there is no device, where its memory is short, and by name for what the kernels do not compute. The pool
  // is allocated by the first apply().
  static Result<std::unique_ptr<CudaExecutor>> create(Clock& clock, model::Model model,
                                                      const CudaOptions& options);
  ~CudaExecutor() override;

  void submit(const Batch& batch) override;
  Collected collect() override;
  std::span<const sl_op_key> op_keys() const override { return keys_; }
  Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) override;
  std::span<const sl_op_plan> effective(std::uint32_t mode) const override;

  // Of the KV pool under these plans.
  Result<std::uint64_t> block_bytes(std::span<const sl_op_plan> plans) const;
  // Of the device, as it is now.
  Result<std::uint64_t> free_bytes() const;
  // How many blocks the pool has, and its second tier, where the options did not say. Before apply().
  void set_blocks(std::uint32_t blocks, std::uint32_t host_blocks) {
    options_.blocks = blocks;
    options_.host_blocks = host_blocks;
  }
  std::uint64_t weight_bytes() const { return weights_.bytes(); }
  const std::string& device_name() const { return device_name_; }  // "NVIDIA H100 80GB HBM3"
  const std::string& note() const { return note_; }                // of create(), for the log; mostly empty

 private:
  struct Job {
    int slot = 0;  // of on_host_
    std::uint64_t step = 0, submitted_ns = 0;
    std::uint32_t decodes = 0, prefill_tokens = 0;
    Event start, end;
    bool enqueued = false;  // has events
    bool failed = false;
    std::string why;
    std::vector<BlockCopy> copies;  // until they begin: when all steps before have ended
    Staging staging;
    StepLayout layout;
    std::vector<BatchRow> rows;
    std::vector<std::int32_t> alternatives;  // one a row: asked for, or -1
    bool wants_logprobs = false;
    std::vector<std::uint32_t> tokens;                // the result, one a row
    std::vector<std::vector<TokenLogprob>> logprobs;  // likewise; empty where no row asks
  };

  CudaExecutor(Clock& clock, model::Model model, const CudaOptions& options);
  Status open();
  Status make_pool();
  Status make_copier();
  Job& job(std::uint64_t number) { return jobs_[number % jobs_.size()]; }

  Status enqueue(Job& job, const Batch& batch);
  Status edit(Job& job, std::span<const Begin> begins, std::span<const kernels::cuda::TableEdit> changes,
              std::span<const BatchRow> rows);
  Status pass(Job& job);
  void begin_copies(Job& job);
  void ask_logprobs(Job& job);
  void place_in_time(Job& job, bool waited, Collected& out);
  Status take(Job& job);
  void take_logprobs(Job& job, std::size_t row, std::size_t sample);
  SampledTokens on_host(const Job& job) const {
    return {on_host_.get() + static_cast<std::size_t>(job.slot) * sampled_.size(), options_.max_sequences};
  }
  static void fail_job(Job& job, const Error& error);

  Clock& clock_;
  model::Architecture architecture_;
  CudaOptions options_;
  std::optional<model::Model> model_;  // until it is uploaded
  std::vector<sl_op_key> keys_;
  std::vector<std::vector<sl_op_plan>> modes_;  // effective plans; empty: not applied
  std::string note_, device_name_;

  Stream stream_;
  Weights weights_;
  Products products_;
  RowMemory row_memory_;
  SamplingRows sampling_;
  DeviceMemory<std::int32_t> sampled_;  // as SampledTokens has it
  PinnedMemory<std::int32_t> on_host_;  // a slot a job, likewise
  std::optional<KvPool> pool_;
  std::optional<HostPool> host_pool_;
  std::unique_ptr<Copier> copier_;  // where there is a host tier
  std::vector<std::uint64_t> copies_failed_;
  std::optional<Pass> pass_;
  std::optional<Rows> rows_;
  std::vector<std::int32_t> alternatives_;       // by row
  std::vector<kernels::cuda::RowBegin> begins_;  // of the step at hand
  std::vector<std::int32_t> known_;              // tokens of those

  DecodeGraphs graphs_;

  Timeline timeline_;
  DecodeTime decode_time_;
  // A ring: submitted_ - collected_ are in flight. One more than that, so that collected tokens stay.
  std::vector<Job> jobs_;
  std::uint64_t submitted_ = 0, collected_ = 0;
};

}  // namespace serveloop::execute::cuda
