#include "world.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "../need.hpp"
#include "base/hash.hpp"
#include "rig/settings.hpp"

namespace serveloop::test {

std::string Setting::name() const {
  std::string out = fmt::format("{}/{}/{} blocks={} budget={} lag={} cache={}", scheduler, eviction,
                                preemption, blocks, token_budget, lag, prefix_cache);
  if (host_blocks > 0) out += fmt::format(" host={} copy={}ns", host_blocks, swap_block_ns);
  for (const Swap& swap : swaps) out += fmt::format(" swap@{}={}", swap.at_step, swap.to.plugin);
  return out;
}

policy::Host build_host() {
  policy::SearchOptions options;
  options.folders = {SERVELOOP_BUILD_PLUGINS, SERVELOOP_TEST_PLUGINS};
  return policy::Host(options);
}

sl_cost test_cost(double swap_block_ns) {
  sl_cost cost{};
  cost.struct_size = sizeof(sl_cost);
  cost.step_fixed_ns = 1e6;
  cost.decode_sequence_ns = 1e4;
  cost.decode_context_ns = 10;
  cost.prefill_token_ns = 1e4;
  cost.prefill_context_ns = 1;
  cost.swap_fixed_ns = 1e5;
  cost.swap_block_ns = swap_block_ns;
  cost.prefill_step_ns = 2e3;
  cost.decode_token_ns = 1e3;
  cost.overlap = 0.01;
  return cost;
}

std::shared_ptr<engine::SwapOrder> swap_order(const policy::Host& host, const policy::Limits& limits,
                                              policy::Kind kind, const policy::Choice& to) {
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = kind;
  order->plugin = to.plugin;
  if (kind == policy::Kind::scheduler) order->scheduler = need(host.load_scheduler(to, limits));
  if (kind == policy::Kind::eviction) order->eviction = need(host.load_eviction(to, limits));
  if (kind == policy::Kind::preemption) order->preemption = need(host.load_preemption(to, limits));
  return order;
}

void inject_swap(engine::Engine& engine, std::shared_ptr<engine::SwapOrder> order) {
  engine::Message message;
  message.what = engine::Message::What::swap;
  message.swap = std::move(order);
  engine.inject(std::move(message));
}

World::World(const Setting& setting, std::vector<Ask> asks, observe::StepLog* log, engine::Output* output)
    : setting_(setting), asks_(std::move(asks)), clock_(HostModel{}), host_(build_host()) {
  engine::Options o;
  o.kv_blocks = setting.blocks;
  o.host_kv_blocks = setting.host_blocks;
  o.block_tokens = kBlockTokens;
  o.token_budget = setting.token_budget;
  o.max_sequences = setting.max_sequences;
  o.lag = setting.lag;
  o.prefix_cache = setting.prefix_cache;
  o.kv_reservation = setting.kv_reservation;
  o.bypass_steps = setting.bypass_steps;
  o.max_waiting = setting.max_waiting;
  o.context_tokens = setting.context_tokens;
  o.seed = setting.seed;
  o.cost = test_cost(setting.swap_block_ns);
  limits_ = rig::limits(o);
  engine::Policies p;
  for (const policy::Choice& gate : setting.gates) p.gates.push_back(need(host_.load_gate(gate, limits_)));
  if (!setting.scheduler.empty())
    p.scheduler = need(host_.load_scheduler({setting.scheduler, setting.scheduler_options}, limits_));
  if (!setting.eviction.empty())
    p.eviction = need(host_.load_eviction({setting.eviction, setting.eviction_options}, limits_));
  if (!setting.preemption.empty())
    p.preemption = need(host_.load_preemption({setting.preemption, setting.preemption_options}, limits_));
  p.precision = need(host_.load_precision({setting.precision}, limits_));
  executor_ = std::make_unique<execute::HashExecutor>(clock_, o.cost, o.max_sequences, o.kv_blocks,
                                                      o.block_tokens, o.host_kv_blocks);
  watched_executor_ = std::make_unique<WatchedExecutor>(*executor_);
  engine_ =
      need(engine::Engine::create(o, requests::Labeler(setting.tenants, setting.rules), std::move(p),
                                  watched_, *watched_executor_, output != nullptr ? *output : *this, log));
}

Result<std::uint64_t> World::try_send(std::size_t index) {
  requests::RequestSpec spec = asks_[index].spec;
  spec.arrival_ns = clock_.now_ns();
  engine::Message message;
  message.what = engine::Message::What::arrive;
  auto prepared = engine_->prepare(std::move(spec));
  if (!prepared) return tl::unexpected(prepared.error());
  message.arrival = *prepared;
  const std::uint64_t id = message.arrival->id;
  if (Status ok = engine_->post(std::move(message)); !ok) return tl::unexpected(ok.error());
  index_of_[id] = index;
  return id;
}

std::uint64_t World::send(std::size_t index) { return need(try_send(index)); }

std::uint64_t World::send(Ask ask) {
  ask.at_step = UINT64_MAX;  // not by feed()
  asks_.push_back(std::move(ask));
  return send(asks_.size() - 1);
}

void World::tell(engine::Message::What what, std::uint64_t request, std::uint64_t a, std::uint64_t b) {
  engine::Message message;
  message.what = what;
  message.request = request;
  message.a = a;
  message.b = b;
  engine_->inject(std::move(message));
}

void World::swap(policy::Kind kind, const policy::Choice& to) {
  inject_swap(*engine_, swap_order(host_, limits_, kind, to));
}

void World::swap_gate(std::uint32_t gate, const policy::Choice& to) {
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = policy::Kind::scheduler;
  order->is_gate = true;
  order->gate = gate;
  order->plugin = to.plugin;
  order->scheduler = need(host_.load_gate(to, limits_));
  inject_swap(*engine_, std::move(order));
}

void World::feed() {
  while (next_ask_ < asks_.size() && asks_[next_ask_].at_step <= engine_->steps()) send(next_ask_++);
  for (const std::uint64_t request : std::exchange(cancels_, {}))
    tell(engine::Message::What::cancel, request);
  for (; next_swap_ < setting_.swaps.size() && setting_.swaps[next_swap_].at_step <= engine_->steps();
       ++next_swap_)
    swap(setting_.swaps[next_swap_].kind, setting_.swaps[next_swap_].to);
}

bool World::one_step() {
  feed();
  if (engine_->step()) return true;
  if (!cancels_.empty() || (next_ask_ < asks_.size() && asks_[next_ask_].at_step != UINT64_MAX)) return true;
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
    Tokens& out = in_order_[{ask, t.fork}];
    BOOST_REQUIRE_EQUAL(t.index, out.size());  // each once, in order
    out.push_back(t.token);
    if (t.index >= outputs_[{ask, t.fork}].size()) outputs_[{ask, t.fork}].push_back(t.token);
    if (++delivered_[t.request] == asks_[ask].cancel_after) cancels_.push_back(t.request);
  }
}

// Comes before the delivery of its last tokens.
void World::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  ends_.push_back(end);
  const std::pair<std::uint64_t, std::uint32_t> which(index_of_.at(end.request), end.fork);
  const Tokens& before = in_order_[which];
  BOOST_REQUIRE_EQUAL(generated.size(), end.output_tokens);
  BOOST_REQUIRE_LE(before.size(), generated.size());
  BOOST_REQUIRE(std::equal(before.begin(), before.end(), generated.begin()));
  outputs_[which].assign(generated.begin(), generated.end());
}

const engine::Finished* World::end_of(std::uint64_t request, std::uint32_t fork) const {
  for (const engine::Finished& end : ends_)
    if (end.request == request && end.fork == fork) return &end;
  return nullptr;
}

const Tokens& World::output_of(std::uint64_t request, std::uint32_t fork) const {
  static const Tokens none;
  const auto found = outputs_.find({index_of_.at(request), fork});
  return found == outputs_.end() ? none : found->second;
}

std::uint64_t World::id_of(std::size_t ask) const {
  for (const auto& [id, index] : index_of_)
    if (index == ask) return id;
  return 0;
}

std::vector<requests::Slot> World::slots_of(std::uint64_t request) const {
  std::vector<requests::Slot> slots;
  for (const requests::Slot slot : engine_->requests().live_slots())
    if (engine_->requests().request_of(slot).request == request) slots.push_back(slot);
  return slots;
}

const sl_seq_row& World::row_of(std::uint64_t request) const {
  const std::vector<requests::Slot> slots = slots_of(request);
  if (slots.empty()) throw std::runtime_error(fmt::format("request {} has no live sequence", request));
  return engine_->requests().row(slots.front());
}

namespace {

// What policies may read and nobody else acts on.
void add_facts(requests::RequestSpec& spec, std::uint64_t draw) {
  if (draw % 4 != 0) spec.predicted_p50 = static_cast<std::uint32_t>(1 + draw / 4 % 40);
  if (draw % 3 != 0) spec.ttft_deadline_ns = 1'000'000 + draw / 256 % 200'000'000;
  if (draw % 5 == 0) spec.tbt_target_ns = 1'000'000 + draw / 512 % 20'000'000;
  if (draw % 7 != 0) spec.program = "program " + std::to_string(draw / 8 % 9);
}

}  // namespace

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
    ask.spec.sampling.seed = draw(1u << 30);
    if (draw(4) == 0)
      ask.spec.sampling.stop_ids = {static_cast<requests::Token>(draw(1000)),
                                    static_cast<requests::Token>(draw(1000))};
    ask.spec.priority = static_cast<std::int32_t>(draw(3));
    ask.cancel_after = draw(6) == 0 ? static_cast<std::uint32_t>(1 + draw(12)) : 0;
    add_facts(ask.spec, mix(seed, i * 64 + 63));
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

}  // namespace serveloop::test
