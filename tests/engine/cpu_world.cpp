#include "cpu_world.hpp"

#include <fmt/format.h>

#include <bit>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "../need.hpp"
#include "base/hash.hpp"
#include "rig/settings.hpp"

namespace serveloop::test {

std::string CpuSetting::name() const {
  std::string out =
      fmt::format("{} {} {} {} blocks={}x{} budget={} lag={} threads={} prefix_cache={} swaps={}",
                  scheduler.plugin, eviction.plugin, preemption.plugin, precision, blocks, block_tokens,
                  token_budget, lag, threads, prefix_cache, swaps.size());
  if (host_blocks > 0)
    out += fmt::format(" host={} copy={}ns bad_copies={}", host_blocks, swap_block_ns, bad_copies);
  return out;
}

CpuWorld::CpuWorld(const CpuSetting& s, const model::Model& model) : setting_(s), host_(build_host()) {
  engine::Options o;
  o.kv_blocks = s.blocks;
  o.host_kv_blocks = s.host_blocks;
  o.block_tokens = s.block_tokens;
  o.token_budget = s.token_budget;
  o.max_sequences = s.max_sequences;
  o.lag = s.lag;
  o.prefix_cache = s.prefix_cache;
  o.vocabulary = model.architecture.vocabulary;
  o.context_tokens = model.architecture.max_positions;
  o.cost = test_cost(s.swap_block_ns);
  o.cost.swap_fixed_ns = s.swap_block_ns;  // so that two blocks are worth a copy
  limits_ = rig::limits(o);
  engine::Policies p;
  p.scheduler = need(host_.load_scheduler(s.scheduler, limits_));
  p.eviction = need(host_.load_eviction(s.eviction, limits_));
  p.preemption = need(host_.load_preemption(s.preemption, limits_));
  p.precision = need(host_.load_precision({s.precision}, limits_));
  execute::cpu::CpuOptions options{s.threads,      s.lag,          o.max_sequences,
                                   o.token_budget, o.block_tokens, o.kv_blocks};
  options.host_blocks = o.host_kv_blocks;
  executor_ = need(execute::cpu::CpuExecutor::create(clock_, model, options));
  engine_ = need(
      engine::Engine::create(o, requests::Labeler({}, {}), std::move(p), clock_, *executor_, *this, nullptr));
  if (s.bad_copies) spoil_copies();
}

// Of all copies a thirteenth fails, and a seventeenth takes as long as three steps do, or, where none can run before it
// came, ten milliseconds.
void CpuWorld::spoil_copies() {
  executor_->watch_copies([this, copy = std::uint64_t{0}](const execute::BlockCopy&) mutable {
    const std::uint64_t draw = mix(19, copy++), begun_at = steps_.load();
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
    while (draw % 17 == 0 && steps_.load() < begun_at + 3 && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    return draw % 13 != 0;
  });
}

bool CpuWorld::step() {
  const bool more = engine_->step();
  steps_.store(engine_->steps());
  return more;
}

void CpuWorld::run(const std::vector<Ask>& asks) {
  for (std::size_t next = 0; next < asks.size(); step(), cancel(), swap())
    while (next < asks.size() && asks[next].at_step * setting_.pace <= engine_->steps()) {
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
  while (step() || !cancels_.empty()) cancel(), swap();
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
  for (; next_swap_ < setting_.swaps.size() && setting_.swaps[next_swap_].after_ends <= ends_; ++next_swap_) {
    const CpuSwap& swap = setting_.swaps[next_swap_];
    auto order = swap_order(host_, limits_, swap.kind, swap.to);
    order->done = [this](const Status& went) { check_flip(went); };
    inject_swap(*engine_, std::move(order));
  }
}

// In the middle of the run: some have ended, some are yet to.
void CpuWorld::check_flip(const Status& went) {
  BOOST_CHECK_MESSAGE(went, (went ? "" : went.error().message()));
  BOOST_CHECK_GT(ends_, 0u);
  BOOST_CHECK_GT(engine_->requests().live_count(), 0u);
}

void CpuWorld::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& t : tokens) {
    if (++delivered_[t.request] == cancel_after_[t.request]) cancels_.push_back(t.request);
    Tokens& bits = heard_.logprobs[{index_of_.at(t.request), t.fork}];
    for (const TokenLogprob& logprob : t.logprobs)
      bits.insert(bits.end(), {logprob.token, std::bit_cast<std::uint32_t>(logprob.logprob)});
  }
}

void CpuWorld::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  ++ends_;
  heard_.tokens[{index_of_.at(end.request), end.fork}].assign(generated.begin(), generated.end());
}

}  // namespace serveloop::test
