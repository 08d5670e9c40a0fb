#include "small_engine.hpp"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>

namespace serveloop::fuzz {

namespace {

constexpr std::size_t kRequests = 6;
constexpr std::uint32_t kBlockTokens = 4;
constexpr std::uint64_t kMostSteps = 20000;

[[noreturn]] void wrong(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

requests::RequestSpec spec_of(std::size_t i) {
  requests::RequestSpec spec;
  spec.pieces = {{7, static_cast<std::uint32_t>(4 * (i % 3))},
                 {100 + i, static_cast<std::uint32_t>(3 + 2 * i)}};
  spec.max_tokens = static_cast<std::uint32_t>(3 + i);
  spec.sampling.seed = i;
  return spec;
}

}  // namespace

// What each request's tokens are when it is alone.
const std::vector<std::vector<requests::Token>>& reference() {
  static const auto outputs = [] {
    std::vector<std::vector<requests::Token>> all(kRequests);
    for (std::size_t i = 0; i < kRequests; ++i) {
      SmallEngine alone(64, 0, 0, observe::Item::memory, {});
      alone.post(i);
      while (alone.engine().busy() || alone.engine().steps() == 0) alone.engine().step();
      all[i] = alone.outputs_[0];
    }
    return all;
  }();
  return outputs;
}

SmallEngine::SmallEngine(std::uint32_t blocks, std::uint32_t host_blocks, std::uint32_t lag,
                         observe::Item item, Answer answer)
    : item_(item), answer_(std::move(answer)), outputs_(kRequests), finish_(kRequests) {
  spdlog::set_level(spdlog::level::off);
  engine::Options o;
  o.kv_blocks = blocks;
  o.host_kv_blocks = host_blocks;
  o.block_tokens = kBlockTokens;
  o.token_budget = 16;
  o.max_sequences = 4;
  o.max_waiting = 16;
  o.lag = lag;
  o.cost = {sizeof(sl_cost), 0, 1e6, 1e4, 10, 1e4, 1, 1e5, 2e5};
  executor_ = std::make_unique<execute::HashExecutor>(clock_, o.cost, o.max_sequences, blocks, kBlockTokens,
                                                      host_blocks);
  auto made = engine::Engine::create(o, requests::Labeler({}, {}), {}, clock_, *executor_, *this, nullptr);
  if (!made) wrong(made.error().message());
  engine_ = std::move(*made);
  if (answer_)
    engine_->set_override([this](observe::Item asked) -> std::optional<std::span<const std::uint8_t>> {
      said_.clear();
      said_.u64(SL_REASON_NONE);
      if (asked != item_ || !answer_(*this, said_)) return std::nullopt;
      return said_.bytes();
    });
}

void SmallEngine::post(std::size_t request) {
  requests::RequestSpec spec = spec_of(request);
  spec.arrival_ns = clock_.now_ns();
  engine::Message message;
  message.what = engine::Message::What::arrive;
  auto arrival = engine_->prepare(std::move(spec));
  if (!arrival) wrong(arrival.error().message());
  message.arrival = *arrival;
  engine_->inject(std::move(message));
}

void SmallEngine::run() {
  for (std::size_t i = 0; i < kRequests; ++i) post(i);
  for (std::uint64_t step = 0; step < kMostSteps; ++step) {
    const bool worked = engine_->step();
    if (!engine_->busy()) return check();
    if (worked) continue;
    for (std::uint64_t id = 1; id <= kRequests; ++id) {  // what was parked for good is let go
      engine::Message message;
      message.what = engine::Message::What::release;
      message.request = id;
      engine_->inject(std::move(message));
    }
  }
  wrong("nothing moves");
}

void SmallEngine::check() const {
  if (const std::string bad = engine_->audit(true); !bad.empty()) wrong(bad);
  for (std::size_t i = 0; i < kRequests; ++i) {
    if (finish_[i] == SL_FINISH_REJECTED ? !outputs_[i].empty() : outputs_[i] != reference()[i])
      wrong("request " + std::to_string(i + 1) + " got other tokens than alone");
  }
}

void SmallEngine::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& t : tokens) outputs_[t.request - 1].push_back(t.token);
}

void SmallEngine::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  if (observe::sum(end.causes) != static_cast<std::int64_t>(end.end_ns - end.arrival_ns))
    wrong("causes leave a gap");
  for (const std::int64_t cause : end.causes)
    if (cause < 0) wrong("a cause is negative");
  finish_[end.request - 1] = end.finish;
  outputs_[end.request - 1].assign(generated.begin(), generated.end());
}

}  // namespace serveloop::fuzz
