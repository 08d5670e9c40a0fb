#include "cpu_world.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "base/hash.hpp"

namespace serveloop::test {

namespace {

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

}  // namespace

std::string CpuSetting::name() const {
  return fmt::format("{} {} {} blocks={} budget={} lag={} threads={} prefix_cache={} swaps={}", scheduler,
                     eviction, precision, blocks, token_budget, lag, threads, prefix_cache, swaps.size());
}

CpuWorld::CpuWorld(const CpuSetting& s, const model::Model& model) : setting_(s), host_(build_host()) {
  engine::Options o;
  o.kv_blocks = s.blocks;
  o.block_tokens = kBlockTokens;
  o.token_budget = s.token_budget;
  o.max_sequences = s.max_sequences;
  o.lag = s.lag;
  o.prefix_cache = s.prefix_cache;
  o.vocabulary = model.architecture.vocabulary;
  o.context_tokens = model.architecture.max_positions;
  const requests::Options sizes{o.max_waiting, o.max_sequences};
  limits_ = {o.seed, sizes.slots(), {o.kv_blocks, 0}, o.block_tokens, o.token_budget, o.max_sequences,
             o.lag,  o.cost};
  engine::Policies p;
  p.scheduler = need(host_.load_scheduler({s.scheduler, {}}, limits_));
  p.eviction = need(host_.load_eviction({s.eviction, {}}, limits_));
  p.preemption = need(host_.load_preemption({"recompute", {}}, limits_));
  p.precision = need(host_.load_precision({s.precision, {}}, limits_));
  executor_ = need(execute::cpu::CpuExecutor::create(
      clock_, model, {s.threads, s.lag, o.max_sequences, o.token_budget, o.block_tokens, o.kv_blocks}));
  engine_ = need(
      engine::Engine::create(o, requests::Labeler({}, {}), std::move(p), clock_, *executor_, *this, nullptr));
}

void CpuWorld::run(const std::vector<Ask>& asks) {
  for (std::size_t next = 0; next < asks.size(); engine_->step(), cancel(), swap())
    while (next < asks.size() && asks[next].at_step <= engine_->steps()) {
      send(asks[next], next);
      ++next;
    }
  drain();
}

void CpuWorld::run_alone(const std::vector<Ask>& asks) {
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Ask ask = asks[i];
    ask.cancel_after = 0;
    send(ask, i);
    drain();
  }
}

void CpuWorld::send(const Ask& ask, std::size_t index) {
  requests::RequestSpec spec = ask.spec;
  spec.arrival_ns = clock_.now_ns();
  engine::Message message;
  message.what = engine::Message::What::arrive;
  message.arrival = need(engine_->prepare(std::move(spec)));
  index_of_[message.arrival->id] = index;
  cancel_after_[message.arrival->id] = ask.cancel_after;
  engine_->inject(std::move(message));
}

void CpuWorld::drain() {
  while (engine_->step() || !cancels_.empty()) cancel(), swap();
}

void CpuWorld::cancel() {
  for (const std::uint64_t request : std::exchange(cancels_, {})) {
    engine::Message message;
    message.what = engine::Message::What::cancel;
    message.request = request;
    engine_->inject(std::move(message));
  }
}

void CpuWorld::swap() {
  if (next_swap_ >= setting_.swaps.size() || setting_.swaps[next_swap_].first > engine_->steps()) return;
  auto order = std::make_shared<engine::SwapOrder>();
  order->kind = policy::Kind::scheduler;
  order->plugin = setting_.swaps[next_swap_++].second;
  order->scheduler = need(host_.load_scheduler({order->plugin, {}}, limits_));
  engine::Message message;
  message.what = engine::Message::What::swap;
  message.swap = std::move(order);
  engine_->inject(std::move(message));
}

void CpuWorld::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& t : tokens)
    if (++delivered_[t.request] == cancel_after_[t.request]) cancels_.push_back(t.request);
}

void CpuWorld::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  outputs_[{index_of_.at(end.request), end.fork}].assign(generated.begin(), generated.end());
}

std::vector<Ask> sampled_asks(std::uint32_t count, std::uint64_t seed, std::uint32_t longest_prompt,
                              std::uint32_t vocabulary) {
  std::vector<Ask> asks = mixed_asks(count, seed, longest_prompt);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Sampling& how = asks[i].spec.sampling;
    const std::uint64_t draw = mix(seed, i);
    for (std::uint32_t& id : how.stop_ids) id %= vocabulary;
    how.temperature = draw % 3 == 0 ? 0.0f : 1.0f + static_cast<float>(draw % 7);
    if (draw % 5 == 0) how.top_p = 0.7f;
    if (draw % 4 == 0) how.top_k = 20;
    if (draw % 6 == 0) how.repetition = 1.3f, how.frequency = 0.2f;
  }
  return asks;
}

engine::Counters check_cpu_law_1(const CpuSetting& s, const model::Model& model, const std::vector<Ask>& asks,
                                 const Outputs& reference) {
  engine::Counters counters;
  BOOST_TEST_CONTEXT(s.name()) {
    CpuWorld world(s, model);
    world.run(asks);
    counters = world.engine().counters();
    BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    BOOST_REQUIRE_EQUAL(world.outputs().size(), reference.size());
    for (const auto& [which, expected] : reference) {
      const Tokens& got = world.outputs().at(which);
      if (asks[which.first].cancel_after == 0) BOOST_REQUIRE_EQUAL(got.size(), expected.size());
      BOOST_REQUIRE_LE(got.size(), expected.size());
      BOOST_REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
    }
    BOOST_CHECK_EQUAL(counters.failed_steps, 0u);
    BOOST_CHECK_EQUAL(counters.swaps, s.swaps.size());
    BOOST_CHECK(counters.fallbacks.empty());
  }
  return counters;
}

}  // namespace serveloop::test
