// Plays sequences on an executor as an engine might: chunks and decodes side by side, blocks from anywhere, lives that
// begin anew; and keeps each position's token and log-probabilities. As tests/unit/execute/player.hpp does on the CPU.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>

#include "executor_case.hpp"

namespace executor_test {

struct Story {
  std::vector<std::uint32_t> prompt;
  std::uint32_t generate = 0;
  Sampling sampling;
};

// One of each way to sample, in turn.
inline std::vector<Story> stories(std::uint32_t count, std::uint32_t vocabulary, std::uint32_t longest) {
  std::mt19937 draw(11);
  std::vector<Story> all(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Story& story = all[i];
    const std::uint32_t most = i % 5 == 0 ? longest : 60;
    story.prompt = random_tokens(1 + draw() % most, vocabulary, i);
    story.generate = static_cast<std::uint32_t>(1 + draw() % 24);
    Sampling& how = story.sampling;
    how.seed = i;
    how.temperature = i % 7 == 0 ? 0.0f : 0.9f;
    if (i % 7 == 2) how.top_k = 40, how.top_p = 0.9f;
    if (i % 7 == 3) how.min_p = 0.05f;
    if (i % 7 == 4) how.temperature = 0, how.repetition = 1.3f, how.presence = how.frequency = 2.0f;
    if (i % 7 == 5) how.bias = {{5, 6.0f}, {900, 5.5f}, {17, -3.0f}};
    if (i % 7 == 6) {
      how.bias = {{5, 20.0f}};
      how.stop_ids = {5};
      how.min_tokens = 6;
    }
    if (i % 3 == 0) how.alternatives = i % 6;
  }
  return all;
}

struct Said {
  std::uint32_t token = 0;
  std::vector<TokenLogprob> logprobs;
  bool operator==(const Said& other) const {
    return token == other.token &&
           std::equal(logprobs.begin(), logprobs.end(), other.logprobs.begin(), other.logprobs.end(),
                      [](const TokenLogprob& a, const TokenLogprob& b) {
                        return a.token == b.token && a.logprob == b.logprob;
                      });
  }
};
using Trace = std::map<std::pair<std::size_t, std::uint32_t>, Said>;  // by (sequence, position)

struct Stage {
  std::uint32_t lag = 1, block_tokens = 16, token_budget = 96, blocks = 500, rows = 24;
  std::uint32_t arrivals = 15;  // of 16: that one more begins before a step
  std::uint32_t anew = 60;      // of 1,000: that one with nothing in flight begins anew
};

class Player {
 public:
  Player(Executor& executor, const Stage& stage) : stage_(stage), executor_(executor) {
    for (std::uint32_t row = stage.rows; row > 0; --row) free_rows_.push_back(row - 1);
    for (std::uint32_t block = stage.blocks; block > 0; --block) free_blocks_.push_back(block - 1);
  }

  // One after the other: each prompt in as few chunks as the budget allows, blocks in order.
  Trace alone(const std::vector<Story>& all) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      live_.push_back({i, &all[i]});
      begin(live_.back());
      while (!live_.empty()) step(UINT32_MAX, 1000, 0);
    }
    return trace_;
  }
  // All at once: prompts first, then steps of decodes alone. Row 0 stays free, with what the last sequence left there when
  // it lived a first time; its first block is another's by then. So runs that fill up a step and are not nobody's show.
  Trace together(const std::vector<Story>& all) {
    live_.push_back({all.size() - 1, &all.back()});
    begin(live_.back());
    while (!live_.empty()) step(UINT32_MAX, 1000, 0);
    std::erase(free_rows_, 0u);
    std::sort(free_blocks_.begin(), free_blocks_.end(), std::greater<>());
    for (std::size_t i = 0; i < all.size(); ++i) {
      live_.push_back({i, &all[i]});
      begin(live_.back());
    }
    while (!live_.empty()) step(UINT32_MAX, 1000, 0);
    return trace_;
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
      step(1 + draw(2) * draw(100), 800, stage_.anew);
    }
    return trace_;
  }

  std::uint64_t lives_begun_anew = 0, mixed_steps = 0, steps = 0;
  std::uint64_t filled_up = 0;  // steps of decodes whose number has no graph of its own
  bool same = true;             // a second life repeats the first

 private:
  struct Life {
    std::size_t number;
    const Story* story;
    std::uint32_t row = 0, at = 0, sampled = 0, flying = 0;
    std::vector<std::uint32_t> generated = {}, table = {};
    std::uint32_t known() const { return static_cast<std::uint32_t>(story->prompt.size()) + sampled; }
  };
  struct Sent {
    struct Row {
      std::size_t number;
      std::uint32_t position;
      bool samples;
    };
    std::vector<Row> rows;
  };

  std::uint32_t draw(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  void begin(Life& life) {
    life.row = free_rows_.back();
    free_rows_.pop_back();
    life.at = 0;
    life.sampled = static_cast<std::uint32_t>(life.generated.size());
    begins_.push_back({life.row, 0, &life.story->sampling,
                       static_cast<std::uint32_t>(life.story->prompt.size()), life.story->generate,
                       life.story->prompt, life.generated});
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
    std::uint32_t left = stage_.token_budget, decodes = 0, prefill = 0;
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
        if (free_blocks_.empty()) std::puts("STOPPED  no free block"), std::exit(1);
        changes_.push_back({life.row, static_cast<std::uint32_t>(life.table.size()), free_blocks_.back()});
        life.table.push_back(free_blocks_.back());
        free_blocks_.pop_back();
      }
      rows.push_back({life.row, life.at, tokens, samples, decode});
      sent.rows.push_back({life.number, life.at + tokens, samples});
      (decode ? decodes : prefill) += tokens;
      left -= tokens;
      life.at += tokens;
      life.sampled += samples ? 1 : 0;
      ++life.flying;
    }
    if (!rows.empty()) {
      executor_.submit({steps++, 0, decodes, prefill, begins_, changes_, {}, rows});
      begins_.clear();
      changes_.clear();
      in_flight_.push_back(std::move(sent));
      mixed_steps += decodes > 0 && prefill > 0 ? 1 : 0;
      const int plain = prefill == 0 ? static_cast<int>(decodes) : 0;
      filled_up +=
          execute::cuda::DecodeGraphs::size_for(plain, static_cast<int>(stage_.rows)) > plain ? 1 : 0;
    }
    if (in_flight_.size() > stage_.lag || (rows.empty() && !in_flight_.empty())) collect();
  }

  void collect() {
    const Collected done = executor_.collect();
    if (done.failed) std::printf("STOPPED  %s\n", done.why.c_str()), std::exit(1);
    check(done.device_start_ns <= done.device_end_ns && done.device_start_ns >= last_end_ns_,
          "steps do not follow each other in time");
    check(done.decode_ns <= done.device_end_ns - done.device_start_ns, "decode_ns");
    last_end_ns_ = done.device_end_ns;
    const Sent sent = std::move(in_flight_.front());
    in_flight_.pop_front();
    for (std::size_t i = 0; i < sent.rows.size(); ++i) {
      Life& life = *find(sent.rows[i].number);
      --life.flying;
      if (!sent.rows[i].samples) continue;
      life.generated.push_back(done.tokens[i]);
      Said said{done.tokens[i], done.logprobs.empty() ? std::vector<TokenLogprob>() : done.logprobs[i]};
      const auto [found, added] = trace_.emplace(std::pair(life.number, sent.rows[i].position), said);
      same = same && (added || found->second == said);
    }
    std::erase_if(live_, [&](Life& life) {
      const bool over = life.generated.size() >= life.story->generate && life.flying == 0;
      if (over) give_back(life);
      return over;
    });
  }

  Stage stage_;
  Executor& executor_;
  Trace trace_;
  std::mt19937 random_{1};
  std::deque<Life> live_;
  std::vector<Begin> begins_;
  std::vector<TableChange> changes_;
  std::vector<std::uint32_t> free_rows_, free_blocks_;
  std::deque<Sent> in_flight_;
  std::uint64_t last_end_ns_ = 0;
};

}  // namespace executor_test
