// A small engine for tests: real plugins from the build tree, the hash executor, virtual time, and what came out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/virtual_clock.hpp"
#include "engine/engine.hpp"
#include "execute/hash.hpp"
#include "policy/host.hpp"

namespace serveloop::test {

using Tokens = std::vector<requests::Token>;
using Outputs = std::map<std::pair<std::uint64_t, std::uint32_t>, Tokens>;  // by (request's index, fork)

struct Setting {
  std::string scheduler = "fcfs", eviction = "lru", preemption = "recompute";  // "" = the linked-in fallback
  toml::Value scheduler_options = {}, eviction_options = {}, preemption_options = {};
  std::vector<policy::Choice> gates;
  std::uint32_t blocks = 4096, token_budget = 256, max_sequences = 16, lag = 0, bypass_steps = 64, max_waiting = 4096;
  bool prefix_cache = true;
  std::vector<std::pair<std::uint64_t, policy::Choice>> swaps;  // at a step, a scheduler
  std::string name() const;
};

// A request, when it comes, and when its client has had enough.
struct Ask {
  requests::RequestSpec spec;
  std::uint64_t at_step = 0;
  std::uint32_t cancel_after = 0;  // of the tokens of all its forks; 0 = never
};

inline constexpr std::uint32_t kBlockTokens = 8;

class World : public engine::Output {
 public:
  World(const Setting& setting, std::vector<Ask> asks, observe::StepLog* log = nullptr);
  // Until all have ended. Fails the test after `most_steps`.
  void run(std::uint64_t most_steps = 200000);
  bool one_step();  // false when nothing is left to do

  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;

  const Outputs& outputs() const { return outputs_; }
  const std::vector<engine::Finished>& ends() const { return ends_; }
  engine::Engine& engine() { return *engine_; }
  const engine::Counters& counters() const { return engine_->counters(); }
  VirtualClock& clock() { return clock_; }
  execute::HashExecutor& executor() { return *executor_; }

 private:
  void feed();
  Setting setting_;
  std::vector<Ask> asks_;
  std::size_t next_ask_ = 0, next_swap_ = 0;
  VirtualClock clock_;
  std::unique_ptr<execute::HashExecutor> executor_;
  policy::Host host_;
  policy::Limits limits_;
  std::unique_ptr<engine::Engine> engine_;
  std::map<std::uint64_t, std::size_t> index_of_;       // request id -> ask
  std::map<std::uint64_t, std::uint32_t> delivered_;
  std::vector<std::uint64_t> cancels_;
  Outputs outputs_;
  std::vector<engine::Finished> ends_;
};

// The search path of the build's own plugins.
policy::Host build_host();
// `count` requests with mixed lengths, n, seeds, shared prefixes, stops and cancellations, from a seed.
std::vector<Ask> mixed_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt);
// What each would get alone. Cancellation plays no part.
Outputs alone(const std::vector<Ask>& asks);
// Law 1: every output equals its reference, or is a prefix of it where the ask was cut short.
void check_law_1(const World& world, const std::vector<Ask>& asks, const Outputs& reference);

}  // namespace serveloop::test
