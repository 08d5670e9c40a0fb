// From logits to a token: the seam where sampling parameters come in. Thread safety: several workers at once, for
// different rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/sampling.hpp"
#include "kernels/cpu/kernels.hpp"

namespace serveloop::execute::cpu {

// Who samples, and where. A token may depend on these and the logits alone (law 1): no state of a step, no order.
struct SampleAt {
  std::uint32_t row;  // of the executor
  const Sampling* how;
  std::uint32_t fork;
  std::uint32_t position;  // of the new token
  std::uint32_t prompt_tokens;
  std::span<const std::uint32_t> tokens;  // [position], of prompt and output
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  // The token. Where `how` asks for log-probabilities they are appended, the token's own first. logits: [vocabulary],
  // may be changed.
  virtual std::uint32_t sample(const SampleAt& at, float* logits, int vocabulary,
                               std::vector<TokenLogprob>& logprobs) const = 0;
};

}  // namespace serveloop::execute::cpu
