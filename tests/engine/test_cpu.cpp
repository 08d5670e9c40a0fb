// Law 1 with real numbers: the engine over the CPU executor, in real time. Requests share prefixes, pools are so small
// that sequences are preempted and cached blocks evicted, and every request gets the tokens that it gets alone.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "base/hash.hpp"
#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "world.hpp"

namespace serveloop::test {

namespace {

constexpr std::uint32_t kRequests = 90, kLongestPrompt = 64, kMostTokens = 28;
constexpr std::uint32_t kSmallest = (kLongestPrompt + kMostTokens + kBlockTokens - 2) / kBlockTokens;
constexpr std::uint64_t kAtLeast = 20;

// Everything that an architecture can ask for, small; a vocabulary that holds seeded prompts.
const model::Model& tiny_model() {
  static const model::Model model = [] {
    model::Architecture a;
    a.family = "tiny";
    a.vocabulary = 32003;
    a.hidden = 32;
    a.intermediate = 50;
    a.q_heads = 4;
    a.kv_heads = 2;
    a.head_dim = 10;
    a.max_positions = 512;
    a.layers = {{19, model::RopeKind::local}, {0, model::RopeKind::global}};
    a.gate = model::Gate::gelu_tanh;
    a.tied_embeddings = a.qkv_bias = a.qk_norm = a.post_norms = true;
    a.attention_scale = 0.3f;
    a.attention_soft_cap = 5;
    a.logit_soft_cap = 10;
    return model::random_model(a, 9, 2).value();
  }();
  return model;
}

// Greedy repeats itself on random weights: the largest logit's id, moved by who asks and where.
class Moved final : public execute::cpu::Sampler {
 public:
  std::uint32_t sample(const execute::cpu::SampleAt& at, float* logits, int vocabulary,
                       std::vector<TokenLogprob>&) const override {
    const auto best = static_cast<std::uint64_t>(kernels::cpu::kernels().argmax(logits, vocabulary));
    const std::uint64_t by = mix(mix(at.how->seed, at.fork), at.position) % 1000;
    return static_cast<std::uint32_t>((best + by) % static_cast<std::uint64_t>(vocabulary));
  }
};

struct CpuSetting {
  std::string scheduler = "fcfs";
  std::uint32_t blocks = 1024, token_budget = 48, lag = 0;
  unsigned threads = 1;
  bool prefix_cache = true;
};

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

class CpuWorld final : public engine::Output {
 public:
  explicit CpuWorld(const CpuSetting& s) : host_(build_host()) {
    engine::Options o;
    o.kv_blocks = s.blocks;
    o.block_tokens = kBlockTokens;
    o.token_budget = s.token_budget;
    o.max_sequences = 8;
    o.lag = s.lag;
    o.prefix_cache = s.prefix_cache;
    const requests::Options sizes{o.max_waiting, o.max_sequences};
    const policy::Limits limits{o.seed,         sizes.slots(),  {o.kv_blocks, 0},
                                o.block_tokens, o.token_budget, o.max_sequences,
                                o.lag,          o.cost};
    engine::Policies p;
    p.scheduler = need(host_.load_scheduler({s.scheduler, {}}, limits));
    p.eviction = need(host_.load_eviction({"lru", {}}, limits));
    p.preemption = need(host_.load_preemption({"recompute", {}}, limits));
    p.precision = need(host_.load_precision({"native"}, limits));
    executor_ = need(execute::cpu::CpuExecutor::create(
        clock_, tiny_model(),
        {s.threads, s.lag, o.max_sequences, o.token_budget, o.block_tokens, o.kv_blocks}));
    executor_->set_sampler(std::make_unique<Moved>());
    engine_ = need(engine::Engine::create(o, requests::Labeler({}, {}), std::move(p), clock_, *executor_,
                                          *this, nullptr));
  }

  void send(const Ask& ask, std::size_t index) {
    requests::RequestSpec spec = ask.spec;
    spec.arrival_ns = clock_.now_ns();
    engine::Message message;
    message.what = engine::Message::What::arrive;
    message.arrival = need(engine_->prepare(std::move(spec)));
    index_of_[message.arrival->id] = index;
    cancel_after_[message.arrival->id] = ask.cancel_after;
    engine_->inject(std::move(message));
  }
  // Steps until nothing is left.
  void drain() {
    while (engine_->step() || !cancels_.empty()) cancel();
  }
  void run(const std::vector<Ask>& asks) {
    for (std::size_t next = 0; next < asks.size(); engine_->step(), cancel())
      while (next < asks.size() && asks[next].at_step <= engine_->steps()) {
        send(asks[next], next);
        ++next;
      }
    drain();
  }

  void tokens(std::span<const engine::Delivered> tokens) override {
    for (const engine::Delivered& t : tokens)
      if (++delivered_[t.request] == cancel_after_[t.request]) cancels_.push_back(t.request);
  }
  bool wants_tokens() const override { return true; }
  void finished(const engine::Finished& end, std::span<const requests::Token> generated) override {
    outputs[{index_of_.at(end.request), end.fork}].assign(generated.begin(), generated.end());
  }
  engine::Engine& engine() { return *engine_; }
  Outputs outputs;

 private:
  void cancel() {
    for (const std::uint64_t request : std::exchange(cancels_, {})) {
      engine::Message message;
      message.what = engine::Message::What::cancel;
      message.request = request;
      engine_->inject(std::move(message));
    }
  }
  SteadyClock clock_;
  policy::Host host_;
  std::unique_ptr<execute::cpu::CpuExecutor> executor_;
  std::unique_ptr<engine::Engine> engine_;
  std::map<std::uint64_t, std::size_t> index_of_;
  std::map<std::uint64_t, std::uint32_t> delivered_, cancel_after_;
  std::vector<std::uint64_t> cancels_;
};

const std::vector<Ask>& asks() {
  static const std::vector<Ask> all = mixed_asks(kRequests, 23, kLongestPrompt);
  return all;
}

// One request after the other, whole prompts, no prefix cache, nobody cancels.
const Outputs& reference() {
  static const Outputs outputs = [] {
    CpuWorld world({.token_budget = 2048, .prefix_cache = false});
    for (std::size_t i = 0; i < asks().size(); ++i) {
      Ask ask = asks()[i];
      ask.cancel_after = 0;
      world.send(ask, i);
      world.drain();
    }
    return world.outputs;
  }();
  return outputs;
}

void check(const CpuSetting& s) {
  BOOST_TEST_CONTEXT(fmt::format("{} blocks={} budget={} lag={} threads={}", s.scheduler, s.blocks,
                                 s.token_budget, s.lag, s.threads)) {
    CpuWorld world(s);
    world.run(asks());
    BOOST_REQUIRE_EQUAL(world.engine().audit(true), "");
    BOOST_REQUIRE_EQUAL(world.outputs.size(), reference().size());
    std::size_t tokens = 0;
    for (const auto& [which, expected] : reference()) {
      const Tokens& got = world.outputs.at(which);
      tokens += got.size();
      if (asks()[which.first].cancel_after == 0) BOOST_REQUIRE_EQUAL(got.size(), expected.size());
      BOOST_REQUIRE_LE(got.size(), expected.size());
      BOOST_REQUIRE(std::equal(got.begin(), got.end(), expected.begin()));
    }
    const engine::Counters& c = world.engine().counters();
    BOOST_TEST_MESSAGE(fmt::format("{} tokens, {} preemptions, {} evicted, {} hit, {} split", tokens,
                                   c.preemptions, c.evicted_blocks, c.hit_tokens / kBlockTokens,
                                   c.split_prompts));
    BOOST_CHECK_GE(tokens, 1000u);
    BOOST_CHECK_EQUAL(c.failed_steps, 0u);
    if (s.blocks <= 2 * kSmallest) {
      BOOST_CHECK_GE(c.preemptions, kAtLeast);
      BOOST_CHECK_GE(c.evicted_blocks, kAtLeast);
    }
    BOOST_CHECK_GE(c.hit_tokens / kBlockTokens, kAtLeast);
    BOOST_CHECK_GE(c.split_prompts, kAtLeast);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_law_1)

BOOST_AUTO_TEST_CASE(requests_get_the_tokens_that_they_get_alone) {
  for (const char* scheduler : {"fcfs", "sarathi"})
    for (const std::uint32_t blocks : {3 * kSmallest / 2, 1024u})
      for (const std::uint32_t lag : {0u, 1u})
        for (const unsigned threads : {1u, 2u})
          check(
              {.scheduler = scheduler, .blocks = blocks, .token_budget = 32, .lag = lag, .threads = threads});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
