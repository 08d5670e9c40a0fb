// Device memory that the kernels are timed on: random weights and caches, activations, tables. Thread safety: one caller
// at a time.
#pragma once

#include <cuda_bf16.h>

#include <vector>

#include "execute/cuda/device.hpp"
#include "execute/kernel_times.hpp"
#include "kernels/cuda/attention.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

// Inputs of one kind that lie side by side: launch i reads at(i).
struct Turns {
  const __nv_bfloat16* first = nullptr;
  std::size_t size = 0;  // elements of one
  int count = 1;
  const __nv_bfloat16* at(int launch) const {
    return first + static_cast<std::size_t>(launch % count) * size;
  }
  int launches() const { return count > 8 ? count : 8; }
};

// Which tokens of which sequences a launch is about; each sequence has its own blocks, in random order.
struct KernelRows {
  DeviceMemory<std::int32_t> position, table_row;  // [tokens]
  DeviceMemory<std::int32_t> block_table;          // [sequences, blocks]
  DeviceMemory<std::int32_t> chunk_start;          // {0, tokens}
  int tokens = 0, blocks = 0;                      // blocks: a sequence
  Turns k, v;                                      // [sequences x blocks, kv_heads, block_tokens, head_dim]
  DeviceMemory<std::int32_t> plan_words;           // of decodes
  DeviceMemory<std::byte> workspace;
  int items = 0;

  kernels::cuda::AttentionRows asking() const { return {position.get(), table_row.get(), tokens}; }
  kernels::cuda::AttentionPlan plan() const { return {plan_words.get(), tokens, items}; }
};

class KernelData {
 public:
  static Result<KernelData> create(const model::Architecture& architecture, const KernelSizes& sizes);

  // x and y as at first: kernels change them, and what has been turned or added to a thousand times is no longer random.
  Status renew_activations() const;
  // Matrices of n rows and k columns.
  Turns weights(std::size_t n, std::size_t k) const;
  // Decodes of so many sequences with `keys` keys each; or a chunk of `tokens` of one sequence that has `keys` at its end.
  Result<KernelRows> decodes(std::uint32_t sequences) const;
  Result<KernelRows> chunk(std::uint32_t keys) const;
  kernels::cuda::AttentionShape attention() const;

  DeviceMemory<__nv_bfloat16> random;     // weights and caches; at least 2^30 elements
  DeviceMemory<__nv_bfloat16> vector;     // [widest activation], for norms and biases; no launch writes there
  DeviceMemory<__nv_bfloat16> x, y;       // [most tokens, widest activation]
  DeviceMemory<float> logits;             // [most sequences, vocabulary]
  DeviceMemory<float2> angles;            // [most keys, head_dim / 2]
  DeviceMemory<std::int32_t> ids, token;  // [most tokens]

 private:
  KernelData(const model::Architecture& architecture, const KernelSizes& sizes)
      : a_(&architecture), sizes_(&sizes) {}
  Status take_memory();
  Status fill();
  Status tables(KernelRows& rows, std::uint32_t sequences, std::uint32_t keys) const;
  std::size_t cache_elements(std::uint32_t sequences, std::uint32_t keys) const;
  std::uint32_t most_tokens() const;
  std::uint32_t most_sequences() const;

  const model::Architecture* a_;
  const KernelSizes* sizes_;
};

// `from` in device memory.
template <class T>
Status put(DeviceMemory<T>& to, const std::vector<T>& from) {
  if (Status good = to.make(from.size(), "kernels' inputs"); !good) return good;
  return check(cudaMemcpy(to.get(), from.data(), to.bytes(), cudaMemcpyHostToDevice), "kernels' inputs");
}

}  // namespace serveloop::execute::cuda
