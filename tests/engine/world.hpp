// A small engine for tests: real plugins from the build tree, the hash executor, virtual time, and what came
// out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "policy/host.hpp"
#include "watched.hpp"

namespace serveloop::test {

using Tokens = std::vector<requests::Token>;
using Outputs = std::map<std::pair<std::uint64_t, std::uint32_t>, Tokens>;  // by (request's index, fork)

// How long a block's copy takes: a fourth of the time in which its tokens are computed, or four times as long.
inline constexpr double kFastCopy = 2e4, kSlowCopy = 32e4;

struct Setting {
  std::string scheduler = "fcfs", eviction = "lru", preemption = "recompute";  // "" = the linked-in fallback
  std::string precision = "native";
  toml::Value scheduler_options = {}, eviction_options = {}, preemption_options = {};
  std::vector<policy::Choice> gates;
  std::uint32_t blocks = 4096, token_budget = 256, max_sequences = 16, lag = 0, bypass_steps = 64,
                max_waiting = 4096, host_blocks = 0;
  double swap_block_ns = kFastCopy;  // of a block between device and host memory
  std::uint64_t seed = 5;            // the policies'
  std::uint32_t context_tokens = 131072;
  bool prefix_cache = true;
  engine::KvReservation kv_reservation = engine::KvReservation::paged;
  struct Swap {
    std::uint64_t at_step;
    policy::Kind kind;
    policy::Choice to;
  };
  std::vector<Swap> swaps;  // in order of steps
  std::vector<requests::Tenant> tenants;
  std::vector<requests::PriorityRule> rules;
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
  // `output`: who hears of tokens and ends in this world's place.
  World(const Setting& setting, std::vector<Ask> asks, observe::StepLog* log = nullptr,
        engine::Output* output = nullptr);
  // Until all have ended. Fails the test after `most_steps`.
  void run(std::uint64_t most_steps = 200000);
  bool one_step();  // false when nothing is left to do

  // ---- What a client and an operator may do, now: taken in by the next step.
  // Posts ask `index` (of those given to the constructor, and of any added since). Returns its request id.
  std::uint64_t send(std::size_t index);
  std::uint64_t send(Ask ask);
  Result<std::uint64_t> try_send(std::size_t index);
  void tell(engine::Message::What what, std::uint64_t request, std::uint64_t a = 0, std::uint64_t b = 0);
  void swap(policy::Kind kind, const policy::Choice& to);
  void swap_gate(std::uint32_t gate, const policy::Choice& to);

  void tokens(std::span<const engine::Delivered> tokens) override;
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override;

  const Outputs& outputs() const { return outputs_; }
  const std::vector<engine::Finished>& ends() const { return ends_; }
  const engine::Finished* end_of(std::uint64_t request, std::uint32_t fork = 0) const;  // null: not ended
  const Tokens& output_of(std::uint64_t request, std::uint32_t fork = 0) const;
  std::uint64_t id_of(std::size_t ask) const;  // 0: not sent yet
  std::size_t ask_of(std::uint64_t request) const { return index_of_.at(request); }
  // The live slots of a request, by fork.
  std::vector<requests::Slot> slots_of(std::uint64_t request) const;
  const sl_seq_row& row_of(std::uint64_t request) const;  // of its first live sequence
  const policy::Limits& limits() const { return limits_; }
  const policy::Host& host() const { return host_; }
  engine::Engine& engine() { return *engine_; }
  const engine::Engine& engine() const { return *engine_; }
  const engine::Counters& counters() const { return engine_->counters(); }
  VirtualClock& clock() { return clock_; }
  WatchedClock& watched() { return watched_; }
  execute::HashExecutor& executor() { return *executor_; }
  WatchedExecutor& watched_executor() { return *watched_executor_; }

 private:
  void feed();
  Setting setting_;
  std::vector<Ask> asks_;
  std::size_t next_ask_ = 0, next_swap_ = 0;
  VirtualClock clock_;
  WatchedClock watched_{clock_};
  std::unique_ptr<execute::HashExecutor> executor_;
  std::unique_ptr<WatchedExecutor> watched_executor_;
  policy::Host host_;
  policy::Limits limits_;
  std::unique_ptr<engine::Engine> engine_;
  std::map<std::uint64_t, std::size_t> index_of_;  // request id -> ask
  std::map<std::uint64_t, std::uint32_t> delivered_;
  Outputs in_order_;  // as delivered, to be compared with what an end hands over
  std::vector<std::uint64_t> cancels_;
  Outputs outputs_;
  std::vector<engine::Finished> ends_;
};

// All preemption policies that are shipped.
inline constexpr const char* kPreemptions[] = {"recompute", "least-progress", "most-blocks", "swap", "cost"};

// What an engine under test believes that steps and copies cost.
sl_cost test_cost(double swap_block_ns = kFastCopy);
// The search path of the build's own plugins.
policy::Host build_host();
// A policy that is loaded and waits to take over, and how an engine is told of it.
std::shared_ptr<engine::SwapOrder> swap_order(const policy::Host& host, const policy::Limits& limits,
                                              policy::Kind kind, const policy::Choice& to);
void inject_swap(engine::Engine& engine, std::shared_ptr<engine::SwapOrder> order);
// `count` requests with mixed lengths, n, seeds, shared prefixes, stops and cancellations, from a seed.
std::vector<Ask> mixed_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt);
// What each would get alone. Cancellation plays no part.
Outputs alone(const std::vector<Ask>& asks);
// Law 1: every output equals its reference, or is a prefix of it where the ask was cut short.
void check_law_1(const World& world, const std::vector<Ask>& asks, const Outputs& reference);
// The same by how each ended: every sequence has one end; finished by length or stop it has all tokens, else
// a prefix of them.
void check_ends(const World& world, const Outputs& reference);
// Nothing is lost at idle: no sequence, row or block. Fails the test otherwise.
void check_idle(const World& world);

}  // namespace serveloop::test
