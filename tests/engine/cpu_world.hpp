// The engine over the CPU executor, in real time: what law 1 is held against with real numbers.
#pragma once

#include <memory>
#include <string>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "world.hpp"

namespace serveloop::test {

struct CpuSetting {
  std::string scheduler = "fcfs", eviction = "lru", precision = "native";
  std::uint32_t blocks = 1024, token_budget = 48, lag = 0, max_sequences = 8;
  unsigned threads = 1;
  bool prefix_cache = true;
  std::vector<std::pair<std::uint64_t, std::string>> swaps;  // at a step, a scheduler
  std::string name() const;
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
  const Outputs& outputs() const { return outputs_; }

 private:
  void send(const Ask& ask, std::size_t index);
  void drain();
  void cancel();
  void swap();

  CpuSetting setting_;
  SteadyClock clock_;
  policy::Host host_;
  policy::Limits limits_;
  std::unique_ptr<execute::cpu::CpuExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
  std::size_t next_swap_ = 0;
  std::map<std::uint64_t, std::size_t> index_of_;
  std::map<std::uint64_t, std::uint32_t> delivered_, cancel_after_;
  std::vector<std::uint64_t> cancels_;
  Outputs outputs_;
};

// Requests as mixed_asks() has them, for a vocabulary of that size; a third of them drawn at a temperature, some with
// cuts and penalties.
std::vector<Ask> sampled_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt,
                              std::uint32_t vocabulary);

// Law 1 in one setting. Returns the counters, so that a test can ask whether what it is about took place.
engine::Counters check_cpu_law_1(const CpuSetting& setting, const model::Model& model,
                                 const std::vector<Ask>& asks, const Outputs& reference);

}  // namespace serveloop::test
