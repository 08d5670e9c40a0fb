// Requests to a real model, and what law 1 says of them.
#pragma once

#include "cpu_world.hpp"

namespace serveloop::test {

// Requests as mixed_asks() has them, for a vocabulary of that size; a third of them greedy, the others drawn at a
// temperature, some with cuts, penalties, a bias or stops that wait; most with log-probabilities.
std::vector<Ask> sampled_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt,
                              std::uint32_t vocabulary);

class CpuTraffic {
 public:
  CpuTraffic(model::Model model, std::vector<Ask> asks) : model_(std::move(model)), asks_(std::move(asks)) {}

  const model::Model& model() const { return model_; }
  const std::vector<Ask>& asks() const { return asks_; }
  std::size_t sequences() const;
  std::uint32_t longest_answer() const;  // tokens
  // Blocks for the longest of them alone: the smallest pool that intake accepts them for.
  std::uint32_t smallest_pool(std::uint32_t block_tokens) const;
  // What each gets alone under a plan: whole prompts, one thread, no prefix cache. Computed when first asked for.
  const Heard& alone(const std::string& plan);

 private:
  model::Model model_;
  std::vector<Ask> asks_;
  std::map<std::string, Heard> alone_;  // by plan
};

// What took place in a run.
struct Counted : engine::Counters {
  std::uint64_t kept = 0;  // yields that kept their first blocks
};

// Law 1 in one setting, bit for bit. Returns what took place, so that a test can ask whether what it is about did.
Counted check_cpu_law_1(const CpuSetting& setting, CpuTraffic& traffic);

}  // namespace serveloop::test
