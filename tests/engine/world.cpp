#include "world.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"

namespace serveloop::test {

std::string Setting::name() const {
  std::string out = fmt::format("{}/{}/{} blocks={} budget={} lag={} cache={}", scheduler, eviction, preemption, blocks,
                                token_budget, lag, prefix_cache);
  for (const auto& [at, choice] : swaps) out += fmt::format(" swap@{}={}", at, choice.plugin);
  return out;
}

policy::Host build_host() {
  policy::SearchOptions options;
  options.folders = {SERVELOOP_BUILD_PLUGINS, SERVELOOP_TEST_PLUGINS};
  return policy::Host(options);
}

namespace {

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

sl_cost test_cost() {
  sl_cost cost{};
  cost.struct_size = sizeof(sl_cost);
  cost.step_fixed_ns = 1e6;
  cost.decode_sequence_ns = 1e4;
  cost.decode_context_ns = 10;
  cost.prefill_token_ns = 1e4;
  cost.prefill_context_ns = 1;
  return cost;
}

}  // namespace

World::World(const Setting& setting, std::vector<Ask> asks, observe::StepLog* log)
    : setting_(setting), asks_(std::move(asks)), clock_(HostModel{}), host_(build_host()) {
  engine::Options o;
  o.kv_blocks = setting.blocks;
  o.block_tokens = kBlockTokens;
  o.token_budget = setting.token_budget;
  o.max_sequences = setting.max_sequences;
  o.lag = setting.lag;
  o.prefix_cache = setting.prefix_cache;
  o.bypass_steps = setting.bypass_steps;
  o.max_waiting = setting.max_waiting;
  o.cost = test_cost();
  const requests::Options sizes{o.max_waiting, o.max_sequences};
  limits_ = {o.seed, sizes.slots(), {o.kv_blocks, 0}, o.block_tokens, o.token_budget, o.max_sequences, o.lag, o.cost};
  engine::Policies p;
  for (const policy::Choice& gate : setting.gates) p.gates.push_back(need(host_.load_gate(gate, limits_)));
  if (!setting.scheduler.empty())
    p.scheduler = need(host_.load_scheduler({setting.scheduler, setting.scheduler_options}, limits_));
  if (!setting.eviction.empty())
    p.eviction = need(host_.load_eviction({setting.eviction, setting.eviction_options}, limits_));
  if (!setting.preemption.empty())
    p.preemption = need(host_.load_preemption({setting.preemption, setting.preemption_options}, limits_));
  p.precision = need(host_.load_precision({"native"}, limits_));
  executor_ = std::make_unique<execute::HashExecutor>(clock_, o.cost, o.max_sequences, o.kv_blocks, o.block_tokens);
  engine_ = need(engine::Engine::create(o, requests::Labeler({}, {}), std::move(p), clock_, *executor_, *this, log));
}

void World::feed() {
  while (next_ask_ < asks_.size() && asks_[next_ask_].at_step <= engine_->steps()) {
    requests::RequestSpec spec = asks_[next_ask_].spec;
    spec.arrival_ns = clock_.now_ns();
    engine::Message message;
    message.what = engine::Message::What::arrive;
    message.arrival = need(engine_->prepare(std::move(spec)));
    index_of_[message.arrival->id] = next_ask_++;
    if (Status ok = engine_->post(std::move(message)); !ok) throw std::runtime_error(ok.error().message());
  }
  for (const std::uint64_t request : std::exchange(cancels_, {})) {
    engine::Message message;
    message.what = engine::Message::What::cancel;
    message.request = request;
    engine_->inject(std::move(message));
  }
  while (next_swap_ < setting_.swaps.size() && setting_.swaps[next_swap_].first <= engine_->steps()) {
    engine::Message message;
    message.what = engine::Message::What::swap;
    message.swap = std::make_shared<engine::SwapOrder>();
    message.swap->kind = policy::Kind::scheduler;
    message.swap->plugin = setting_.swaps[next_swap_].second.plugin;
    message.swap->scheduler = need(host_.load_scheduler(setting_.swaps[next_swap_++].second, limits_));
    engine_->inject(std::move(message));
  }
}

bool World::one_step() {
  feed();
  if (engine_->step()) return true;
  if (next_ask_ < asks_.size() || !cancels_.empty()) return true;
  const std::uint64_t next = engine_->next_wake_ns();
  if (next == SL_NEVER) return false;
  clock_.wait_until(next);
  return true;
}

void World::run(std::uint64_t most_steps) {
  for (std::uint64_t i = 0; i < most_steps; ++i)
    if (!one_step()) return;
  BOOST_FAIL(fmt::format("{}: not done after {} steps", setting_.name(), most_steps));
}

void World::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& t : tokens) {
    const std::size_t ask = index_of_.at(t.request);
    outputs_[{ask, t.fork}].push_back(t.token);
    if (++delivered_[t.request] == asks_[ask].cancel_after) cancels_.push_back(t.request);
  }
}

void World::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  ends_.push_back(end);
  if (generated.empty()) return;
  Tokens& out = outputs_[{index_of_.at(end.request), end.fork}];
  if (out.size() != generated.size()) out.assign(generated.begin(), generated.end());  // its last token comes with its end
}

std::vector<Ask> mixed_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt) {
  std::vector<Ask> asks;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint64_t k = 0;
    const auto draw = [&](std::uint64_t n) { return mix(seed, i * 64 + k++) % n; };
    Ask ask;
    ask.at_step = i / 2;
    if (draw(2) == 0)  // half of them open with one of five shared prefixes
      ask.spec.pieces.push_back({1000 + draw(5), static_cast<std::uint32_t>(8 + draw(longest_prompt / 2))});
    ask.spec.pieces.push_back({50000 + i, static_cast<std::uint32_t>(1 + draw(longest_prompt / 2))});
    if (draw(8) == 0) ask.spec.pieces = {{1000 + draw(5), static_cast<std::uint32_t>(longest_prompt / 2)}};
    ask.spec.max_tokens = static_cast<std::uint32_t>(1 + draw(28));
    ask.spec.n = draw(5) == 0 ? static_cast<std::uint32_t>(2 + draw(2)) : 1;
    ask.spec.seed = draw(1u << 30);
    if (draw(4) == 0) ask.spec.stop_ids = {static_cast<requests::Token>(draw(1000)), static_cast<requests::Token>(draw(1000))};
    ask.spec.priority = static_cast<std::int32_t>(draw(3));
    ask.cancel_after = draw(6) == 0 ? static_cast<std::uint32_t>(1 + draw(12)) : 0;
    asks.push_back(ask);
  }
  return asks;
}

Outputs alone(const std::vector<Ask>& asks) {
  Outputs all;
  for (std::size_t i = 0; i < asks.size(); ++i) {
    for (std::uint32_t fork = 0; fork < asks[i].spec.n; ++fork) {
      Setting quiet;
      quiet.prefix_cache = false;
      quiet.token_budget = 100000;
      quiet.max_waiting = 64;
      quiet.blocks = 256;
      Ask ask = asks[i];
      ask.at_step = 0;
      ask.cancel_after = 0;
      World world(quiet, {ask});
      world.run();
      all[{i, fork}] = world.outputs().at({0, fork});
    }
  }
  return all;
}

void check_law_1(const World& world, const std::vector<Ask>& asks, const Outputs& reference) {
  for (const auto& [which, expected] : reference) {
    const auto found = world.outputs().find(which);
    const Tokens got = found == world.outputs().end() ? Tokens{} : found->second;
    const bool cut = asks[which.first].cancel_after > 0;
    if (cut) BOOST_REQUIRE_LE(got.size(), expected.size());
    else BOOST_REQUIRE_EQUAL(got.size(), expected.size());
    BOOST_REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
  }
}

}  // namespace serveloop::test
