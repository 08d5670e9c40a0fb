// Host time of one decode step: a scheduler (fcfs) and lru as plugins, the null executor, real time. Worlds are interleaved
// in one process. Requests are of several tenants, share prefixes, and have deadlines, predictions and programs. `churn`: in each
// step one sequence ends, one enters and one arrives.
//   bench_step STEPS RUNNING:WAITING:CACHED[:SCHEDULER[:churn]] ...
// Prints one JSON line a world: medians and p99 in microseconds over all its steps.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../need.hpp"
#include "base/steady_clock.hpp"
#include "engine/engine.hpp"
#include "execute/simulated.hpp"

namespace {

using namespace serveloop;
using serveloop::test::need;

struct Shape {
  std::uint32_t running = 0, waiting = 0, cached_blocks = 0;
  std::string scheduler = "fcfs";
  bool churn = false;
};

// RUNNING:WAITING:CACHED[:SCHEDULER[:churn]]
Shape shape_of(const std::string& text) {
  Shape shape;
  int read = 0;
  if (std::sscanf(text.c_str(), "%u:%u:%u%n", &shape.running, &shape.waiting, &shape.cached_blocks, &read) !=
          3 ||
      shape.running == 0 || (text[read] != 0 && text[read] != ':'))
    throw std::runtime_error(fmt::format("'{}': expected RUNNING:WAITING:CACHED[:SCHEDULER[:churn]]", text));
  shape.churn = text.ends_with(":churn");
  if (text[read] == ':') shape.scheduler = text.substr(read + 1, text.size() - read - (shape.churn ? 7 : 1));
  return shape;
}

// So that nobody takes another's slot while it is measured: a level's share lasts for ever.
toml::Table options_of(const std::string& scheduler) {
  if (scheduler == "sarathi") return {{"chunk_budget", 8192}};  // else it lets no more in than that
  if (scheduler == "mlfq" || scheduler == "plas") return {{"quantum_ms", 1e6}, {"max_wait_ms", 0}};
  return {};
}

class World : public engine::Output {
 public:
  World(const Shape& shape, std::uint32_t steps) : shape_(shape), executor_(clock_) {
    engine::Options o;
    o.max_sequences = shape.running;
    o.token_budget = std::max(8192u, 2 * shape.running);
    o.max_waiting = shape.waiting + 2 * shape.running + 64;
    const std::uint32_t longest =
        steps + 2 * kWarmUp + 256 + (shape.churn ? 2 * shape.running : 0);  // tokens
    o.kv_blocks = shape.cached_blocks + shape.running * (longest / 16 + 2) + 1024;
    o.context_tokens = 1u << 24;
    const requests::Options sizes{o.max_waiting, o.max_sequences};
    const policy::Limits limits{
        0, sizes.slots(), {o.kv_blocks, 0}, o.block_tokens, o.token_budget, o.max_sequences, 0, o.cost};
    policy::SearchOptions search;
    search.folders = {SERVELOOP_BUILD_PLUGINS};
    const policy::Host host(search);
    engine::Policies p;
    p.scheduler = need(host.load_scheduler({shape.scheduler, options_of(shape.scheduler)}, limits));
    p.eviction = need(host.load_eviction({"lru"}, limits));
    p.preemption = need(host.load_preemption({"recompute"}, limits));
    p.precision = need(host.load_precision({"native"}, limits));
    engine_ = need(engine::Engine::create(o, requests::Labeler({}, {}), std::move(p), clock_, executor_,
                                          *this, nullptr));
    fill_cache();
    for (std::uint32_t i = 0; i < shape.running; ++i)
      ask(100 + i % 16, shape.churn ? kWarmUp + shape.running + i : steps + 3 * kWarmUp, true);  // none ends
    while (engine_->requests().running_count() < shape.running) engine_->step();
    for (std::uint32_t i = 0; i < shape.waiting; ++i)
      ask(100 + i % 64, shape.churn ? shape.running : 1u << 22);
    for (std::uint32_t i = 0; i < kWarmUp + (shape.churn ? shape.running : 0); ++i) advance();
  }

  void step() {
    const auto begun = std::chrono::steady_clock::now();
    advance();
    times_.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begun).count());
  }
  std::string result() {
    std::sort(times_.begin(), times_.end());
    const auto& requests = engine_->requests();
    const std::uint32_t off =
        shape_.churn ? shape_.running / 16 : 0;  // those who ended may not be replaced yet
    const auto near = [off](std::uint32_t is, std::uint32_t was) {
      return is <= was + off && was <= is + off;
    };
    if (!near(requests.running_count(), shape_.running) || !near(requests.ready_count(), shape_.waiting))
      throw std::runtime_error("the load changed while it was measured");
    return fmt::format(
        R"({{"scheduler": "{}", "running": {}, "waiting": {}, "cached_blocks": {}, "steps": {}, )"
        R"("median_us": {:.2f}, "p99_us": {:.2f}}})",
        shape_.scheduler, shape_.running, shape_.waiting, engine_->cache().tier(SL_TIER_DEVICE).evictable,
        times_.size(), times_[times_.size() / 2], times_[times_.size() * 99 / 100]);
  }

 private:
  static constexpr std::uint32_t kWarmUp = 64;
  static constexpr std::uint64_t kHour = 3'600'000'000'000;
  void advance() {
    if (shape_.churn && engine_->requests().live_count() < shape_.running + shape_.waiting)
      ask(100, shape_.running);
    engine_->step();
  }
  // What policies read. Whoever `goes_first` does so under all of them: else those that wait would take its slot.
  static void add_facts(requests::RequestSpec& spec, std::uint64_t i, bool goes_first) {
    spec.tenant = "tenant " + std::to_string(i % 8);
    spec.program = "program " + std::to_string(i % 512);
    spec.priority = goes_first ? 1 : 0;
    spec.predicted_p50 = goes_first ? 16 : static_cast<std::uint32_t>(10000 + i * 7919 % 1000);
    spec.ttft_deadline_ns = goes_first ? kHour : 2 * kHour + i * 7919 % 1000 * 1'000'000;
  }
  void ask(std::uint32_t prompt_tokens, std::uint32_t max_tokens, bool goes_first = false) {
    constexpr std::uint32_t kShared = 48;  // tokens of one of 16 prefixes
    requests::RequestSpec spec;
    const std::uint64_t i = next_seed_++;
    spec.pieces = {{1'000'000'000 + i % 16, kShared}, {i, prompt_tokens - kShared}};
    add_facts(spec, i, goes_first);
    spec.max_tokens = std::min(max_tokens, pool_tokens() - prompt_tokens);
    engine::Message message;
    message.what = engine::Message::What::arrive;
    message.arrival = need(engine_->prepare(std::move(spec)));
    if (Status posted = engine_->post(std::move(message)); !posted)
      throw std::runtime_error(posted.error().message());
  }
  std::uint32_t pool_tokens() const { return engine_->cache().tier(SL_TIER_DEVICE).total * 16; }
  // Requests that end at once leave their prompts cached.
  void fill_cache() {
    while (engine_->cache().tier(SL_TIER_DEVICE).evictable < shape_.cached_blocks) {
      ask(std::min(8000u, shape_.cached_blocks * 16), 1);
      while (engine_->step()) {
      }
    }
  }
  Shape shape_;
  SteadyClock clock_;
  execute::NullExecutor executor_;
  std::unique_ptr<engine::Engine> engine_;
  std::uint64_t next_seed_ = 1;
  std::vector<double> times_;
};

}  // namespace

int main(int argc, char** argv) try {
  spdlog::set_level(spdlog::level::off);
  const auto steps = static_cast<std::uint32_t>(std::stoul(argc > 1 ? argv[1] : "0"));
  if (argc < 3 || steps == 0)
    throw std::runtime_error("usage: bench_step STEPS RUNNING:WAITING:CACHED[:SCHEDULER[:churn]] ...");
  std::vector<std::unique_ptr<World>> worlds;
  for (int i = 2; i < argc; ++i) worlds.push_back(std::make_unique<World>(shape_of(argv[i]), steps));
  constexpr std::uint32_t kSlice = 50;  // steps of one world before the next has its turn
  for (std::uint32_t done = 0; done < steps; done += kSlice)
    for (const auto& world : worlds)
      for (std::uint32_t i = 0; i < std::min(kSlice, steps - done); ++i) world->step();
  for (const auto& world : worlds) fmt::print("{}\n", world->result());
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "bench_step: {}\n", error.what());
  return 2;
}
