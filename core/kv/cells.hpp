// Nodes' runs of whole blocks: per block a cell with its key, the block that holds it in either tier, if one does, and its
// tokens.
//
// Cells come from one store and never move, and an edge is the list of its cells: lengthening, splitting and
// merging edges copies no tokens, and lengthening many leaves in one step costs each the same.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/huge_pages.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

using CellId = std::uint32_t;

class CellStore {
 public:
  // Memory for `expected` cells is there from the start, up to kMostPopulated.
  CellStore(std::uint32_t block_tokens, std::size_t expected)
      : token_bytes_(block_tokens * sizeof(Token)),
        words_((kHead + block_tokens + 1) / 2 * 2) {  // keys stay aligned
    expected = std::min(expected, kMostPopulated / (words_ * sizeof(std::uint32_t)));
    for (std::size_t cells = 0; cells < expected; cells += std::size_t{1} << kSlabBits)
      slabs_.emplace_back(words_ << kSlabBits).populate((expected - cells) * words_);
  }

  CellId add(Key key, std::span<const Token> tokens) {
    const CellId id = free_ != SL_NONE ? free_ : grow();
    std::uint32_t* cell = at(id);
    if (id == free_ && (free_ = cell[kBlock]) != SL_NONE) {  // the next one will be needed soon, and is cold
      __builtin_prefetch(at(free_), 1);
      __builtin_prefetch(at(free_) + words_ - 1, 1);
    }
    std::memcpy(cell, &key, sizeof key);
    cell[kBlock] = SL_NONE;
    std::memcpy(cell + kHead, tokens.data(), token_bytes_);
    ++used_;
    return id;
  }
  void remove(CellId id) {
    at(id)[kBlock] = free_;
    free_ = id;
    --used_;
  }
  Key key(CellId id) const {
    Key key;
    std::memcpy(&key, at(id), sizeof key);
    return key;
  }
  BlockId block(CellId id) const { return at(id)[kBlock]; }
  void set_block(CellId id, BlockId block) { at(id)[kBlock] = block; }
  bool tokens_equal(CellId id, const Token* tokens) const {
    return std::memcmp(at(id) + kHead, tokens, token_bytes_) == 0;
  }
  std::size_t used() const { return used_; }

 private:
  // Words of a cell: key (2), block or next free cell, spare, tokens.
  static constexpr std::uint32_t kBlock = 2, kHead = 4;
  static constexpr std::uint32_t kSlabBits = 15;  // cells of a slab
  std::uint32_t* at(CellId id) const {
    return slabs_[id >> kSlabBits].data() + std::size_t{id & ((1u << kSlabBits) - 1)} * words_;
  }
  CellId grow() {
    if (top_ == slabs_.size() << kSlabBits) slabs_.emplace_back(std::size_t{words_} << kSlabBits);
    return top_++;
  }
  std::size_t token_bytes_, used_ = 0;
  std::uint32_t words_;
  CellId top_ = 0, free_ = SL_NONE;
  std::vector<HugeArray<std::uint32_t>> slabs_;
};

}  // namespace serveloop::kv
