// Contiguous reservation: who enters, and where, is what a search through the pool block by block says, and no token changes.
#include <algorithm>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <map>
#include <optional>

#include "shipped.hpp"

namespace serveloop::test {

namespace {

using engine::KvReservation;

constexpr std::uint32_t kContext = 200, kBlocks = 90;

std::vector<Ask> asks() {
  std::vector<Ask> asks = mixed_asks(150, 41, 100);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    asks[i].spec.n = 1;
    asks[i].spec.sampling.seed = i;  // so that the executor knows whose a row is
    asks[i].cancel_after = 0;
    asks[i].spec.max_tokens = 1 + static_cast<std::uint32_t>(i * 13 % 75);
  }
  return asks;
}

std::uint32_t tokens_of(KvReservation how, std::uint32_t prompt, std::uint32_t output) {
  switch (how) {
    case KvReservation::contiguous_exact: return prompt + output - 1;
    case KvReservation::contiguous_power_of_two:
      return std::min(prompt + std::bit_ceil(output) - 1, kContext - 1);
    default: return kContext - 1;  // the last token sampled needs no KV
  }
}

// The pool, block by block.
class Model {
 public:
  explicit Model(KvReservation how) : how_(how), owner_(kBlocks, kNobody) {}
  bool enters(std::size_t who, std::uint32_t prompt, std::uint32_t output) {
    const std::uint32_t need = blocks(prompt, output);
    for (std::uint32_t start = 0; start + need <= kBlocks; ++start) {
      const auto from = owner_.begin() + start;
      if (std::any_of(from, from + need, [](std::size_t owner) { return owner != kNobody; })) continue;
      std::fill_n(from, need, who);
      return true;
    }
    return false;
  }
  bool fits(std::uint32_t prompt, std::uint32_t output) {
    const bool did = enters(kTrial, prompt, output);
    leaves(kTrial);
    return did;
  }
  void leaves(std::size_t who) { std::replace(owner_.begin(), owner_.end(), who, kNobody); }
  std::uint32_t free() const {
    return static_cast<std::uint32_t>(std::count(owner_.begin(), owner_.end(), kNobody));
  }
  std::uint32_t blocks(std::uint32_t prompt, std::uint32_t output) const {
    return (tokens_of(how_, prompt, output) + kBlockTokens - 1) / kBlockTokens;
  }

 private:
  static constexpr std::size_t kNobody = SIZE_MAX, kTrial = SIZE_MAX - 1;
  KvReservation how_;
  std::vector<std::size_t> owner_;
};

// Runs all, and holds each admission, each one held back and what is reported against the model.
class Checked {
 public:
  Checked(KvReservation how, const char* scheduler, std::uint32_t lag)
      : asks_(asks()), world_(setting(how, scheduler, lag), asks_), model_(how) {
    world_.watched_executor().submitted = [this](const execute::Batch& batch) {
      for (const execute::Begin& begin : batch.begins) {
        BOOST_REQUIRE(model_.enters(begin.sampling->seed, begin.prompt_tokens, begin.max_tokens));
        admitted_ = std::max(admitted_, begin.sampling->seed + 1);  // in order of arrival
      }
      check_head();
    };
  }
  void run(bool first_come_first_served) {
    fcfs_ = first_come_first_served;
    while (world_.one_step()) {
      for (; ended_ < world_.ends().size(); ++ended_)
        model_.leaves(world_.ask_of(world_.ends()[ended_].request));
      const engine::KvUse use = world_.engine().kv_use();
      BOOST_REQUIRE_EQUAL(use.pool_tokens, kBlocks * kBlockTokens);
      BOOST_REQUIRE_EQUAL(use.held_tokens, (kBlocks - model_.free()) * kBlockTokens);
      BOOST_REQUIRE_EQUAL(use.held_tokens - use.unfilled_tokens, computed());
      fragmented_ += use.fragmented_tokens > 0 ? 1 : 0;
      most_running_ = std::max(most_running_, use.running);
    }
    check_idle(world_);
    static const Outputs reference = alone(asks());
    check_ends(world_, reference);
    BOOST_TEST(world_.counters().preemptions == 0u);
    BOOST_TEST(world_.counters().fallbacks.empty());
  }
  std::uint64_t fragmented() const { return fragmented_; }
  std::uint64_t held_back() const { return held_back_; }
  std::uint32_t most_running() const { return most_running_; }

 private:
  static Setting setting(KvReservation how, const char* scheduler, std::uint32_t lag) {
    Setting s;
    s.scheduler = scheduler;
    s.blocks = kBlocks;
    s.context_tokens = kContext;
    s.max_sequences = 200;  // never what holds anybody back, as are tokens
    s.token_budget = 8192;
    s.prefix_cache = false;
    s.kv_reservation = how;
    s.lag = lag;
    return s;
  }
  // The first that waits does so for want of an extent.
  void check_head() {
    if (!fcfs_) return;
    for (std::size_t who = admitted_; who < asks_.size() && world_.id_of(who) != 0; ++who) {
      if (world_.end_of(world_.id_of(who)) != nullptr) continue;
      const requests::RequestSpec& spec = asks_[who].spec;
      BOOST_REQUIRE(!model_.fits(spec.prompt_tokens(), *spec.max_tokens));
      ++held_back_;
      return;
    }
  }
  std::uint64_t computed() const {
    std::uint64_t tokens = 0;
    const engine::Engine& engine = world_.engine();
    for (const requests::Slot slot : engine.requests().live_slots())
      tokens += engine.requests().row(slot).computed;
    return tokens;
  }

  std::vector<Ask> asks_;
  World world_;
  Model model_;
  bool fcfs_ = false;
  std::size_t ended_ = 0;
  std::uint64_t admitted_ = 0, held_back_ = 0, fragmented_ = 0;
  std::uint32_t most_running_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(reservation)

BOOST_AUTO_TEST_CASE(who_enters_is_what_a_search_block_by_block_says) {
  std::map<KvReservation, std::uint32_t> most_running;
  for (const KvReservation how : {KvReservation::contiguous_exact, KvReservation::contiguous_power_of_two,
                                  KvReservation::contiguous_max})
    for (const std::uint32_t lag : {0u, 1u})
      BOOST_TEST_CONTEXT("how " << static_cast<int>(how) << ", lag " << lag) {
        Checked checked(how, "fcfs", lag);
        checked.run(true);
        BOOST_TEST(checked.held_back() >= 50u);
        if (how == KvReservation::contiguous_max)
          BOOST_TEST(checked.fragmented() == 0u);  // all extents are as long as each other
        else
          BOOST_TEST(checked.fragmented() >= 20u);
        most_running[how] = checked.most_running();
      }
  BOOST_TEST(most_running[KvReservation::contiguous_max] == kBlocks / (kContext / kBlockTokens));
  BOOST_TEST(most_running[KvReservation::contiguous_exact] > most_running[KvReservation::contiguous_max]);
}

// Whoever schedules: an extent is had by all that run, and nobody loses a token.
BOOST_AUTO_TEST_CASE(under_every_scheduler) {
  std::vector<const char*> schedulers = kRoomFirst;
  schedulers.insert(schedulers.end(), {"fcfs", "sarathi", "priority"});
  for (const char* scheduler : schedulers)
    for (const KvReservation how : {KvReservation::contiguous_exact, KvReservation::contiguous_max})
      BOOST_TEST_CONTEXT(scheduler) Checked(how, scheduler, 1).run(false);
}

BOOST_AUTO_TEST_CASE(a_prefix_cache_or_a_host_tier_is_refused) {
  Setting s;
  s.kv_reservation = KvReservation::contiguous_exact;
  BOOST_CHECK_THROW(World(s, {}), std::runtime_error);
  s.prefix_cache = false, s.host_blocks = 10;
  BOOST_CHECK_THROW(World(s, {}), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
