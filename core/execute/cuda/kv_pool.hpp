// The paged cache of all layers in BF16: for each layer [blocks, kv_heads, block_tokens, head_dim] of K, then of V, as
// kernels/cuda/attention.hpp takes them. Zeros at first; what an ended sequence has left in a block, no
// number even, is never seen by the next. Copies of blocks belong here. Thread safety: as the kernels': one stream at a time
// for a block; copies between tiers run on a stream of their own, beside steps that name none of their blocks.
#pragma once

#include <cuda_bf16.h>

#include <algorithm>
#include <cstdint>

#include "execute/cuda/device.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

class KvPool {
 public:
  static Result<KvPool> create(const model::Architecture& architecture, std::uint32_t block_tokens,
                               std::uint32_t blocks) {
    KvPool pool;
    pool.blocks_ = blocks;
    pool.block_elements_ = std::size_t{architecture.kv_features()} * block_tokens;
    pool.layers_ = architecture.layers.size();
    const std::size_t block = pool.block_elements_ * 2 * pool.layers_;  // at most 2^20 * 2^12 * 2^11
    if (blocks > (std::size_t{1} << 46) / block)
      return fail("KV pool", "at most 2^46 elements", std::to_string(blocks) + " blocks");
    if (Status good = pool.memory_.make(block * blocks, "KV pool"); !good)
      return tl::unexpected(good.error());
    if (Status good = check(cudaMemset(pool.memory_.get(), 0, pool.memory_.bytes()), "KV pool"); !good)
      return tl::unexpected(good.error());
    return pool;
  }
  // Of one block in all layers.
  static std::uint64_t block_bytes(const model::Architecture& architecture, std::uint32_t block_tokens) {
    return std::uint64_t{architecture.kv_features()} * block_tokens * 2 * architecture.layers.size() *
           sizeof(__nv_bfloat16);
  }

  std::uint32_t blocks() const { return blocks_; }
  std::int64_t block_stride() const { return static_cast<std::int64_t>(block_elements_); }  // elements
  __nv_bfloat16* k(std::size_t layer) const { return memory_.get() + 2 * layer * blocks_ * block_elements_; }
  __nv_bfloat16* v(std::size_t layer) const { return k(layer) + blocks_ * block_elements_; }

  std::size_t block_elements() const { return block_elements_ * 2 * layers_; }  // of one block in all layers

  // All layers of a block to block_elements() of host memory, [layers][K, V], and back, in the stream's order.
  Status copy_out(std::uint32_t block, __nv_bfloat16* host, const Stream& stream) const {
    return move(host, width(), memory_.get() + block * block_elements_, plane(), cudaMemcpyDeviceToHost,
                stream);
  }
  Status copy_in(const __nv_bfloat16* host, std::uint32_t block, const Stream& stream) const {
    return move(memory_.get() + block * block_elements_, plane(), host, width(), cudaMemcpyHostToDevice,
                stream);
  }

 private:
  static constexpr std::size_t kMostPitch = INT32_MAX;  // bytes from row to row that one call takes
  std::size_t width() const {
    return block_elements_ * sizeof(__nv_bfloat16);
  }                                                        // bytes of a block's K in a layer
  std::size_t plane() const { return blocks_ * width(); }  // of all blocks'
  Status move(__nv_bfloat16* to, std::size_t to_pitch, const __nv_bfloat16* from, std::size_t from_pitch,
              cudaMemcpyKind kind, const Stream& stream) const {
    const std::size_t planes = 2 * layers_;
    const std::size_t at_once = std::max(to_pitch, from_pitch) <= kMostPitch ? planes : 1;
    for (std::size_t i = 0; i < planes; i += at_once)
      if (Status good =
              check(cudaMemcpy2DAsync(to + i * to_pitch / sizeof(*to), std::min(to_pitch, kMostPitch),
                                      from + i * from_pitch / sizeof(*from), std::min(from_pitch, kMostPitch),
                                      width(), at_once, kind, stream.get()),
                    "copy of a KV block");
          !good)
        return good;
    return {};
  }

  DeviceMemory<__nv_bfloat16> memory_;
  std::size_t block_elements_ = 0, layers_ = 0;  // of a block's K (or V) in a layer
  std::uint32_t blocks_ = 0;
};

}  // namespace serveloop::execute::cuda
