// Logits at every position of texts, under the plan of a precision plugin. A token is a run of its own, many of a text a
// pass, since only a run's last token gives logits; law 1 says that chunks would give the same.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../need.hpp"
#include "execute/cpu/forward.hpp"
#include "plugin_plans.hpp"

namespace serveloop::execute::cpu::test {

using serveloop::test::need;

// log(sum(exp(x))), in F64.
inline double log_sum_exp(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

class Scorer {
 public:
  static constexpr std::uint32_t kTogether = 64, kBlockTokens = 16;
  // Called by several threads at once, for different positions. The logits may be changed.
  using Take = std::function<void(std::uint32_t position, std::span<float> logits)>;

  // The model outlives it. Texts have at most `most_tokens` tokens.
  Scorer(const model::Model& model, const std::string& plugin, unsigned threads, std::uint32_t most_tokens,
         kernels::cpu::Isa isa = kernels::cpu::detect())
      : pool_(threads),
        weights_(need(Weights::pack(model, pool_))),
        keys_(cpu_op_keys(model.architecture, weights_)),
        numerics_(need(numerics_of(keys_, plugin_plans(plugin, keys_), weights_))),
        table_((most_tokens + kBlockTokens - 1) / kBlockTokens),
        cache_(need(KvCache::create(model.architecture, numerics_.kv_types(), kBlockTokens,
                                    static_cast<std::uint32_t>(table_.size())))),
        forward_(need(Forward::create(model.architecture, weights_, kernels::cpu::kernels(isa), pool_,
                                      kTogether, kTogether))) {
    std::iota(table_.begin(), table_.end(), 0);
  }

  // Positions start .. start + count - 1 of a text, at most kTogether; those before were scored before.
  void score(std::span<const std::uint32_t> ids, std::uint32_t start, std::uint32_t count, const Take& take) {
    if (start + count > table_.size() * kBlockTokens)
      throw std::runtime_error("scorer: the text is too long");
    struct Sink final : LogitSink {
      Sink(std::uint32_t first, const Take& to) : start(first), take_(to) {}
      void take(std::size_t run, float* logits, int vocabulary) noexcept override {
        take_(start + static_cast<std::uint32_t>(run), {logits, static_cast<std::size_t>(vocabulary)});
      }
      std::uint32_t start;
      const Take& take_;
    } sink(start, take);
    std::vector<Run> runs;
    for (std::uint32_t i = start; i < start + count; ++i)
      runs.push_back({i, 1, &ids[i], table_.data(), true});
    forward_->pass(runs, numerics_, cache_, sink);
  }
  // All of a text.
  void score(std::span<const std::uint32_t> ids, const Take& take) {
    const auto all = static_cast<std::uint32_t>(ids.size());
    for (std::uint32_t at = 0; at < all; at += kTogether) score(ids, at, std::min(kTogether, all - at), take);
  }

 private:
  Pool pool_;
  Weights weights_;
  std::vector<sl_op_key> keys_;
  Numerics numerics_;
  std::vector<std::int32_t> table_;
  KvCache cache_;
  std::unique_ptr<Forward> forward_;
};

}  // namespace serveloop::execute::cpu::test
