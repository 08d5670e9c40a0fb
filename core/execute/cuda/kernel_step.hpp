// The kernels of one step of a model, each as a launch that can be timed, with what it has to move and to compute. Thread
// safety: one caller at a time.
#pragma once

#include <string>

#include "execute/cuda/kernel_data.hpp"
#include "execute/cuda/kernel_timer.hpp"
#include "execute/cuda/products.hpp"
#include "kernels/cuda/rope.hpp"
#include "kernels/cuda/sampling.hpp"

namespace serveloop::execute::cuda {

// One kernel at one size. Lives no longer than the step that made it.
struct KernelCase {
  std::string kernel;
  std::uint64_t keys;   // 0: no matter
  double bytes, flops;  // as KernelTime has them
  int launches;         // in a row, so that all inputs have their turn
  Launcher launch;
};

// References outlive it, and it stays where it is while its cases are in use.
class KernelStep {
 public:
  KernelStep(const model::Architecture& a, const KernelData& data, const Products& products,
             const KernelRows& rows);
  KernelCase norm() const;
  KernelCase qkv() const;
  KernelCase rope() const;
  KernelCase output() const;
  KernelCase down() const;
  // Whether gate_up() ends in the gate, so that there is no gate().
  bool gates() const;
  KernelCase gate_up() const;
  KernelCase gate() const;
  KernelCase head() const;
  // Logits are what head() left.
  KernelCase sample(const kernels::cuda::SamplingRow* row) const;
  KernelCase decode_attention(std::uint64_t keys) const;
  // With rotary positions and the write of K and V.
  KernelCase step_attention(std::uint64_t keys) const;
  // keys: at the chunk's end. Only pairs of a token with a key that it sees are counted.
  KernelCase prefill_attention(std::uint64_t keys) const;

 private:
  // A product with weights that take turns. out_elements: read and written for a token.
  template <class Multiply>
  KernelCase product(const char* name, int n, int k, double out_elements, Multiply multiply) const;
  // A product that is added to the stream, here or by the next norm.
  KernelCase added(const char* name, int k) const;
  kernels::cuda::AttentionCache cache(int launch) const;
  std::int64_t block_stride() const;
  // Reads and turns the queries in x, writes to caches that are numbers without a meaning.
  kernels::cuda::RopeJob rope_job(int launch) const;

  const KernelData& data_;
  const Products& products_;
  const KernelRows& rows_;
  int tokens_, hidden_, q_, kv_, inner_, vocabulary_, head_dim_;
  bool biased_;
  kernels::cuda::Gate gate_;
  bool qk_norm_;
  float eps_;
};

}  // namespace serveloop::execute::cuda
