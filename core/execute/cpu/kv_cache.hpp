// The paged cache of all layers: for each layer [blocks] of what kernels/cpu/kv.hpp lays out. Zeroed at first; taken
// from the system as it is touched. Thread safety: as the kernels': distinct slots may be written in parallel.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "execute/cpu/pages.hpp"
#include "kernels/cpu/kv.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cpu {

class KvCache {
 public:
  // types: one a layer. block_tokens is a power of two.
  static Result<KvCache> create(const model::Architecture& architecture,
                                std::span<const kernels::cpu::KvType> types, std::uint32_t block_tokens,
                                std::uint32_t blocks) {
    KvCache cache;
    std::size_t bytes = 0;
    for (const kernels::cpu::KvType type : types) {
      const kernels::cpu::KvLayout layout = layout_of(architecture, type, block_tokens);
      std::size_t layer = 0;
      cache.layers_.push_back({layout, bytes});
      if (__builtin_mul_overflow(layout.block_stride, std::size_t{blocks}, &layer) ||
          __builtin_add_overflow(bytes, layer, &bytes))
        return fail("KV cache", "a size of 64 bits",
                    std::to_string(blocks) + " blocks of " + std::to_string(block_tokens) + " tokens");
    }
    auto pages = Pages::create(bytes, "KV cache");
    if (!pages) return tl::unexpected(pages.error());
    cache.pages_ = std::move(*pages);
    cache.blocks_ = blocks;
    return cache;
  }

  // Of one block in all layers.
  static std::uint64_t block_bytes(const model::Architecture& architecture,
                                   std::span<const kernels::cpu::KvType> types, std::uint32_t block_tokens) {
    std::uint64_t bytes = 0;
    for (const kernels::cpu::KvType type : types)
      bytes += layout_of(architecture, type, block_tokens).block_stride;
    return bytes;
  }

  std::uint32_t blocks() const { return blocks_; }
  const kernels::cpu::KvLayout& layout(std::size_t layer) const { return layers_[layer].layout; }
  void* layer(std::size_t layer) const { return pages_.data() + layers_[layer].offset; }
  // Block `from` to block `to` of a cache of the same layouts, in all layers.
  void copy(std::uint32_t from, const KvCache& into, std::uint32_t to) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::size_t stride = layers_[i].layout.block_stride;
      std::memcpy(into.pages_.data() + into.layers_[i].offset + to * stride,
                  pages_.data() + layers_[i].offset + from * stride, stride);
    }
  }

 private:
  static kernels::cpu::KvLayout layout_of(const model::Architecture& architecture, kernels::cpu::KvType type,
                                          std::uint32_t block_tokens) {
    kernels::cpu::KvLayout layout{type, static_cast<int>(architecture.kv_heads),
                                  static_cast<int>(architecture.head_dim), static_cast<int>(block_tokens), 0};
    layout.block_stride = (kernels::cpu::kv_block_bytes(layout) + 63) / 64 * 64;
    return layout;
  }
  struct Layer {
    kernels::cpu::KvLayout layout;
    std::size_t offset;
  };
  Pages pages_;
  std::vector<Layer> layers_;
  std::uint32_t blocks_ = 0;
};

}  // namespace serveloop::execute::cpu
