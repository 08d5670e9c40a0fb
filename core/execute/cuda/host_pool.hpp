// The second tier of the KV pool: blocks in pinned host memory, each one stretch, [layers][K, V][kv_heads, block_tokens, head_dim];
// and how blocks move between the two, on a stream of their own beside the steps.
//
// Few bytes are under way at a time: a step's own copies (its inputs, log-probabilities) go through the same copy engines, and
// wait there for all that was enqueued before them. Thread safety: one thread, which need not be the executor's.
#pragma once

#include "execute/cuda/kv_pool.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cuda {

class HostPool {
 public:
  // Of the current device's `pool`, which outlives it. Fails where there is not so much memory that can be pinned.
  static Result<HostPool> create(const KvPool& pool, std::uint32_t blocks);

  // As Copier::Move.
  void move(std::span<const BlockCopy> copies, std::span<std::uint8_t> moved) const;
  // Copies a call.
  std::size_t at_once() const;

 private:
  bool can_move(const BlockCopy& copy) const;
  Status enqueue(const BlockCopy& copy) const;

  const KvPool* pool_ = nullptr;
  int device_ = 0;
  std::uint32_t blocks_ = 0;
  PinnedMemory<__nv_bfloat16> memory_;
  Stream stream_;
};

}  // namespace serveloop::execute::cuda
