// The sampler behind every real request: Sampling's steps in their order (base/sampling.hpp), on one row of logits.
//
// Weights of tokens are integers (kernels/token_weight.hpp), so sums are exact and a draw depends on (seed, fork,
// position) and the logits alone. Equal logits give equal tokens here and in kernels/cuda/sampling.hpp.
#pragma once

#include "execute/cpu/sampler.hpp"

namespace serveloop::execute::cpu {

class Drawing final : public Sampler {
 public:
  explicit Drawing(const kernels::cpu::Kernels& kernels) : kernels_(kernels) {}
  std::uint32_t sample(const SampleAt& at, float* logits, int vocabulary,
                       std::vector<TokenLogprob>& logprobs) const override;

 private:
  const kernels::cpu::Kernels& kernels_;
};

}  // namespace serveloop::execute::cpu
