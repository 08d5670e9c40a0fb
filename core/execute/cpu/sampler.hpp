// From logits to a token: the seam where sampling parameters come in. Thread safety: several workers at once, for
// different rows.
#pragma once

#include <cstdint>

#include "kernels/cpu/kernels.hpp"

namespace serveloop::execute::cpu {

// Who samples, and where. A token may depend on these and the logits alone (law 1): no state of a step, no order.
struct SampleAt {
  std::uint32_t row;  // of the executor
  std::uint64_t seed;
  std::uint32_t fork;
  std::uint32_t position;  // of the new token
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual std::uint32_t sample(const SampleAt& at, float* logits,
                               int vocabulary) const = 0;  // logits may be changed
};

// The largest logit; of equal ones the lowest id. Seeds play no part.
class Greedy final : public Sampler {
 public:
  explicit Greedy(const kernels::cpu::Kernels& kernels) : kernels_(kernels) {}
  std::uint32_t sample(const SampleAt&, float* logits, int vocabulary) const override {
    return static_cast<std::uint32_t>(kernels_.argmax(logits, vocabulary));
  }

 private:
  const kernels::cpu::Kernels& kernels_;
};

}  // namespace serveloop::execute::cpu
