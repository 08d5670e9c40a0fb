// Cosines and sines of the positions seen so far, a table for each of an architecture's two RoPEs. Grows by chunks that
// stay where they are. Thread safety: reads in parallel; reserve() while nobody reads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/kernels.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cpu {

class RopeTables {
 public:
  explicit RopeTables(const model::Architecture& architecture)
      : pairs_(architecture.head_dim / 2), needed_{false, false} {
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
      frequencies_[kind] = model::rope_frequencies(architecture.ropes[kind], architecture.head_dim);
    for (const model::Layer& layer : architecture.layers)
      needed_[static_cast<std::size_t>(layer.rope)] = true;
  }

  // Positions [0, count) can be read. Allocates at most once in kChunk positions.
  void reserve(std::uint32_t count) {
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
      std::vector<std::unique_ptr<float[]>>& chunks = kinds_[kind];
      while (needed_[kind] && chunks.size() * kChunk < count) {
        auto chunk = std::make_unique_for_overwrite<float[]>(std::size_t{2} * kChunk * pairs_);
        kernels::cpu::fill_rope_tables(frequencies_[kind].data(), static_cast<int>(pairs_),
                                       static_cast<int>(chunks.size() * kChunk), kChunk, chunk.get(),
                                       chunk.get() + std::size_t{kChunk} * pairs_);
        chunks.push_back(std::move(chunk));
      }
    }
  }

  const float* cos(model::RopeKind kind, std::uint32_t position) const {  // [head_dim / 2]
    return kinds_[static_cast<std::size_t>(kind)][position / kChunk].get() +
           std::size_t{position % kChunk} * pairs_;
  }
  const float* sin(model::RopeKind kind, std::uint32_t position) const {
    return cos(kind, position) + std::size_t{kChunk} * pairs_;
  }

 private:
  static constexpr int kChunk = 1024;
  std::uint32_t pairs_;
  std::array<bool, 2> needed_;
  std::array<std::vector<double>, 2> frequencies_;
  std::array<std::vector<std::unique_ptr<float[]>>, 2> kinds_;  // chunks of [kChunk][pairs] cos, then sin
};

}  // namespace serveloop::execute::cpu
