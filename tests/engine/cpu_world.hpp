// The engine over the CPU executor, in real time: what law 1 is held against with real numbers.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "world.hpp"

namespace serveloop::test {

// A live swap, ordered as soon as so many sequences have ended.
struct CpuSwap {
  std::size_t after_ends = 0;
  policy::Kind kind{};
  policy::Choice to;
};

struct CpuSetting {
  policy::Choice scheduler{"fcfs"}, eviction{"lru"}, preemption{"recompute"};
  std::string precision = "native";
  std::uint32_t blocks = 1024, host_blocks = 0, block_tokens = kBlockTokens, token_budget = 48, lag = 0,
                max_sequences = 8;
  std::uint32_t pace = 1;  // requests come so many times later than they say
  unsigned threads = 1;
  bool prefix_cache = true;
  bool bad_copies = false;           // some copies between the tiers fail, others are late by a few steps
  double swap_block_ns = kFastCopy;  // what policies believe that a copy costs
  std::vector<CpuSwap> swaps;        // in their order
  std::string name() const;
};

// What clients heard, by (request's index, fork).
struct Heard {
  Outputs tokens;
  // For each token whose request asked, (id, bits of its log-probability): its own, then the alternatives'.
  Outputs logprobs;
};

class CpuWorld final : public engine::Output {
 public:
  CpuWorld(const CpuSetting& setting, const model::Model& model);
  void run(const std::vector<Ask>& asks);
  // One ask after the other: what each gets alone.
  void run_alone(const std::vector<Ask>& asks);

  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;
  engine::Engine& engine() { return *engine_; }
  const Heard& heard() const { return heard_; }

 private:
  void send(const Ask& ask, std::size_t index);
  void drain();
  void cancel();
  void swap();
  void check_flip(const Status& went);
  void spoil_copies();
  bool step();

  CpuSetting setting_;
  SteadyClock clock_;
  policy::Host host_;
  policy::Limits limits_;
  std::atomic<std::uint64_t> steps_ = 0;  // done; read by the thread that copies
  std::unique_ptr<execute::cpu::CpuExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
  std::size_t next_swap_ = 0, ends_ = 0;
  std::map<std::uint64_t, std::size_t> index_of_;
  std::map<std::uint64_t, std::uint32_t> delivered_, cancel_after_;
  std::vector<std::uint64_t> cancels_;
  Heard heard_;
};

}  // namespace serveloop::test
