// What a request used, summed over its choices as they end. One thread.
#pragma once

#include <algorithm>
#include <vector>

#include "server/openai/write.hpp"

namespace serveloop::server::openai {

class Tally {
 public:
  explicit Tally(const Shape& shape) : n_(shape.n), cached_(shape.prompt_tokens.size(), UINT32_MAX) {
    for (const std::uint32_t tokens : shape.prompt_tokens) usage_.prompt_tokens += tokens;
  }

  void token() { ++usage_.completion_tokens; }
  // `counted`: tokens of this choice that token() was told of.
  void ended(const Ended& end, std::uint32_t counted) {
    usage_.completion_tokens += end.output_tokens;
    usage_.completion_tokens -= counted;
    if (end.finished) {
      std::uint32_t& cached = cached_[end.choice / n_];
      cached = std::min(cached, end.finished->hit_tokens);
      last_ = end.finished;
    }
  }
  // Choices of a prompt share it: what the one computed, the others find. So of their hits the fewest count.
  Usage usage() const {
    Usage usage = usage_;
    for (const std::uint32_t cached : cached_)
      if (cached != UINT32_MAX) usage.cached_tokens += cached;
    usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
    return usage;
  }
  const std::optional<engine::Finished>& last() const { return last_; }  // the choice that ended last

 private:
  std::uint32_t n_;
  Usage usage_;
  std::vector<std::uint32_t> cached_;  // a prompt
  std::optional<engine::Finished> last_;
};

}  // namespace serveloop::server::openai
