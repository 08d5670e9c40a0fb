// Plays sequences on a CPU executor as an engine might: chunks and decodes side by side, blocks from anywhere, lives
// that begin anew; and keeps what each position's logits were, bit for bit.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <random>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "tiny_models.hpp"

namespace serveloop::execute::cpu::test {

struct Story {  // of a sequence; its number is its seed
  std::vector<std::uint32_t> prompt;
  std::uint32_t generate = 0;
};

inline std::vector<Story> stories(std::uint32_t count, std::uint32_t vocabulary, std::uint32_t longest) {
  std::mt19937 random(11);
  std::vector<Story> all(count);
  for (Story& story : all) {
    story.prompt.resize(1 + random() % longest);
    for (std::uint32_t& token : story.prompt) token = static_cast<std::uint32_t>(random() % vocabulary);
    story.generate = static_cast<std::uint32_t>(1 + random() % 12);
  }
  return all;
}

// By (sequence, position): a hash of all logits' bits, and the token.
using Trace = std::map<std::pair<std::uint64_t, std::uint32_t>, std::pair<std::uint64_t, std::uint32_t>>;

// Greedy, but for a shift by seed and position, since tiny models repeat themselves; keeps a trace.
class Tracing final : public Sampler {
 public:
  std::uint32_t sample(const SampleAt& at, float* logits, int vocabulary,
                       std::vector<TokenLogprob>&) const override {
    std::uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < vocabulary; ++i)
      hash = (hash ^ std::bit_cast<std::uint32_t>(logits[i])) * 1099511628211u;
    const auto best = static_cast<std::uint64_t>(std::max_element(logits, logits + vocabulary) - logits);
    const auto token = static_cast<std::uint32_t>((best + at.how->seed * 17 + at.position * 29) %
                                                  static_cast<std::uint64_t>(vocabulary));
    const std::lock_guard lock(mutex_);
    const auto [found, added] = trace_.emplace(std::pair(at.how->seed, at.position), std::pair(hash, token));
    same_ = same_ && (added || found->second == std::pair(hash, token));  // a second life repeats the first
    return token;
  }
  const Trace& trace() const { return trace_; }
  bool same() const { return same_; }

 private:
  mutable std::mutex mutex_;
  mutable Trace trace_;
  mutable bool same_ = true;
};

struct Stage {
  std::uint8_t input = SL_F32, kv = SL_F32;
  unsigned threads = 1;
  std::uint32_t lag = 0, block_tokens = 8, token_budget = 64, blocks = 96, rows = 7;
  std::uint32_t arrivals = 8;  // of 16: that one more begins before a step
  std::uint32_t anew = 60;     // of 1,000: that one with nothing in flight begins anew
  kernels::cpu::Isa isa = kernels::cpu::detect();
};

class Player {
 public:
  Player(const model::Model& model, const Stage& stage) : stage_(stage) {
    const CpuOptions options{stage.threads,      stage.lag,    stage.rows, stage.token_budget,
                             stage.block_tokens, stage.blocks, stage.isa};
    executor = CpuExecutor::create(clock_, model, options).value();
    auto sampler = std::make_unique<Tracing>();
    tracing_ = sampler.get();
    executor->set_sampler(std::move(sampler));
    BOOST_REQUIRE(executor->apply(0, plans_of(executor->op_keys(), stage.input, stage.kv)));
    for (std::uint32_t row = stage.rows; row > 0; --row) free_rows_.push_back(row - 1);
    for (std::uint32_t block = stage.blocks; block > 0; --block) free_blocks_.push_back(block - 1);
  }

  // One after the other: each prompt in as few chunks as the budget allows, blocks in order.
  Trace alone(const std::vector<Story>& all) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      live_ = {{i, &all[i]}};
      begin(live_.front());
      while (!live_.empty()) step(UINT32_MAX, 1000, 0);
    }
    return trace();
  }

  // All together, from a seed.
  Trace mixed(const std::vector<Story>& all, std::uint32_t seed) {
    random_.seed(seed);
    std::shuffle(free_blocks_.begin(), free_blocks_.end(), random_);
    std::shuffle(free_rows_.begin(), free_rows_.end(), random_);
    std::size_t next = 0;
    while (next < all.size() || !live_.empty() || !in_flight_.empty()) {
      while (next < all.size() && live_.size() < stage_.rows - 1 && draw(16) < stage_.arrivals) {
        live_.push_back({next, &all[next]});
        begin(live_.back());
        ++next;
      }
      step(1 + draw(23), 700, stage_.anew);
    }
    return trace();
  }

  std::uint64_t lives_begun_anew = 0, mixed_steps = 0;
  std::uint32_t most_sampling = 0;  // rows in a step
  std::unique_ptr<CpuExecutor> executor;

 private:
  struct Life {
    std::size_t number;
    const Story* story;
    std::uint32_t row = 0, at = 0, sampled = 0, flying = 0;
    std::vector<std::uint32_t> generated = {}, table = {};
    std::uint32_t known() const { return static_cast<std::uint32_t>(story->prompt.size()) + sampled; }
  };
  struct Sent {
    std::vector<std::pair<std::size_t, bool>> rows;  // (sequence, samples)
  };

  std::uint32_t draw(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  Trace trace() const {
    BOOST_CHECK(tracing_->same());
    return tracing_->trace();
  }

  void begin(Life& life) {
    life.row = free_rows_.back();
    free_rows_.pop_back();
    life.at = 0;
    life.sampled = static_cast<std::uint32_t>(life.generated.size());
    samplings_.push_back({.seed = life.number});
    begins_.push_back({life.row, 0, &samplings_.back(), static_cast<std::uint32_t>(life.story->prompt.size()),
                       life.story->generate, life.story->prompt, life.generated});
  }
  void give_back(Life& life) {
    free_rows_.insert(free_rows_.begin() + draw(static_cast<std::uint32_t>(free_rows_.size()) + 1), life.row);
    for (const std::uint32_t block : life.table)
      free_blocks_.insert(free_blocks_.begin() + draw(static_cast<std::uint32_t>(free_blocks_.size()) + 1),
                          block);
    life.table.clear();
  }
  Life* find(std::size_t number) {
    for (Life& life : live_)
      if (life.number == number) return &life;
    return nullptr;
  }

  // Per mille: that a sequence runs, that one with nothing in flight begins anew.
  void step(std::uint32_t chunk, std::uint32_t runs, std::uint32_t anew) {
    std::vector<BatchRow> rows;
    Sent sent;
    std::uint32_t left = stage_.token_budget, decodes = 0, prefill = 0, sampling = 0;
    for (Life& life : live_) {
      if (life.flying == 0 && life.at > 0 && draw(1000) < anew) {
        give_back(life);
        begin(life);
        ++lives_begun_anew;
      }
      if (life.sampled >= life.story->generate || left == 0 || draw(1000) >= runs) continue;
      const bool decode = life.at + 1 == life.known() && life.at >= life.story->prompt.size();
      const std::uint32_t tokens = std::min({chunk, life.known() - life.at, left});
      const bool samples = life.at + tokens == life.known();
      while (life.table.size() * stage_.block_tokens < life.at + tokens) {
        BOOST_REQUIRE(!free_blocks_.empty());
        changes_.push_back({life.row, static_cast<std::uint32_t>(life.table.size()), free_blocks_.back()});
        life.table.push_back(free_blocks_.back());
        free_blocks_.pop_back();
      }
      rows.push_back({life.row, life.at, tokens, samples, decode});
      sent.rows.emplace_back(life.number, samples);
      sampling += samples ? 1 : 0;
      (decode ? decodes : prefill) += tokens;
      left -= tokens;
      life.at += tokens;
      life.sampled += samples ? 1 : 0;
      ++life.flying;
    }
    if (!rows.empty()) {
      executor->submit({steps_++, 0, decodes, prefill, begins_, changes_, {}, rows});
      begins_.clear();
      changes_.clear();
      in_flight_.push_back(std::move(sent));
      mixed_steps += decodes > 0 && prefill > 0 ? 1 : 0;
      most_sampling = std::max(most_sampling, sampling);
    }
    if (in_flight_.size() > stage_.lag || (rows.empty() && !in_flight_.empty())) collect();
  }

  void collect() {
    const Collected done = executor->collect();
    BOOST_REQUIRE_MESSAGE(!done.failed, done.why);
    BOOST_REQUIRE_LE(done.device_start_ns, done.device_end_ns);
    BOOST_REQUIRE_LE(done.decode_ns, done.device_end_ns - done.device_start_ns);
    const Sent sent = std::move(in_flight_.front());
    in_flight_.pop_front();
    for (std::size_t i = 0; i < sent.rows.size(); ++i) {
      Life& life = *find(sent.rows[i].first);
      --life.flying;
      if (sent.rows[i].second) life.generated.push_back(done.tokens[i]);
    }
    std::erase_if(live_, [&](Life& life) {
      const bool over = life.generated.size() >= life.story->generate && life.flying == 0;
      if (over) give_back(life);
      return over;
    });
  }

  Stage stage_;
  SteadyClock clock_;
  const Tracing* tracing_ = nullptr;
  std::mt19937 random_{1};
  std::vector<Life> live_;
  std::deque<Sampling> samplings_;
  std::vector<Begin> begins_;
  std::vector<TableChange> changes_;
  std::vector<std::uint32_t> free_rows_, free_blocks_;
  std::deque<Sent> in_flight_;
  std::uint64_t steps_ = 0;
};

}  // namespace serveloop::execute::cpu::test
