// How each row samples, as kernels/cuda/sampling.hpp takes it: a row has a mask, a list of biases and a history of its
// own, of fixed sizes, so that nothing is allocated where sequences begin. What a sequence does not ask for is not
// written. Thread safety: one thread.
#pragma once

#include <vector>

#include "execute/cuda/staging.hpp"
#include "execute/executor.hpp"
#include "kernels/cuda/sequence_rows.hpp"

namespace serveloop::execute::cuda {

class SamplingRows {
 public:
  // A history has room for as many distinct tokens as a sequence can have.
  static Result<SamplingRows> create(std::uint32_t rows, std::uint32_t vocabulary,
                                     std::uint32_t context_tokens);

  // Stages what the sequence needs; begins of a step first, then send() once.
  kernels::cuda::RowSampling stage(const Begin& begin, Staging& staging);
  // After the staging was sent.
  Status send(const Staging& staging, const Stream& stream);

  // Biases, masks and histories.
  void fill(kernels::cuda::SamplingJob& job) const;

 private:
  struct Copy {
    void* to;
    std::size_t place, bytes;
  };
  template <class T>
  void put(T* to, std::span<const T> part, Staging& staging) {
    if (!part.empty()) copies_.push_back({to, staging.add(part), part.size_bytes()});
  }
  void stage_mask(const Begin& begin, Staging& staging);
  int stage_biases(const Begin& begin, Staging& staging);
  void stage_history(const Begin& begin, Staging& staging);

  std::uint32_t vocabulary_ = 0, history_capacity_ = 0;
  DeviceMemory<std::uint32_t> masks_;                // [rows, ceil(vocabulary / 32)]
  DeviceMemory<kernels::cuda::TokenBias> biases_;    // [rows, kMaxBiases]
  DeviceMemory<kernels::cuda::TokenCount> history_;  // [rows, history_capacity]
  DeviceMemory<std::int32_t> history_size_;          // [rows]
  std::vector<Copy> copies_;                         // of the step at hand
  std::vector<std::uint32_t> words_, counts_;        // scratch; counts_: [vocabulary], zero between calls
  std::vector<kernels::cuda::TokenBias> bias_;
  std::vector<kernels::cuda::TokenCount> tokens_;
};

}  // namespace serveloop::execute::cuda
