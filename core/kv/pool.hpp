// The device blocks: rows that policies read, the free list, and the list of evictable blocks in the order of
// their unpins.
//
// Invariants: a block is free (tier none), private (tier device, no key) or indexed (key); the evictable list
// holds exactly the indexed blocks with refs 0. As pins are closed upward and tables unpin leaf first, a
// cached child stands before its parent in that list: any head of it is a legal answer to "what leaves the
// cache?".
#pragma once

#include <serveloop/rows.h>

#include <vector>

#include "base/huge_pages.hpp"
#include "base/mapping.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

// What the core keeps of a block beside its row.
struct BlockState {
  BlockId older = SL_NONE, newer = SL_NONE;  // in the evictable list
  std::uint32_t filling_by = 0;              // serial of the submitted step that writes it; 0 = filled
  std::uint32_t answer = 0;                  // last eviction answer that named it
  std::uint32_t answer_children = 0;         // of its cached children, those that the answer names too
};

class Pool {
 public:
  Pool(Mapping& mapping, std::uint32_t blocks);

  std::uint32_t total() const { return total_; }
  std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t evictable() const { return evictable_; }
  sl_block_row& row(BlockId block) { return rows_[block]; }
  const sl_block_row& row(BlockId block) const { return rows_[block]; }
  BlockState& state(BlockId block) { return states_[block]; }
  const BlockState& state(BlockId block) const { return states_[block]; }
  const sl_block_row* rows() const { return rows_; }
  std::span<const BlockId> free_list() const { return free_; }

  BlockId take_private();         // requires a free one
  void give_back(BlockId block);  // makes it free; requires that no list holds it
  bool is_free(BlockId block) const { return rows_[block].tier == SL_TIER_NONE; }
  bool indexed(BlockId block) const { return (rows_[block].flags & SL_BLOCK_FLAG_INDEXED) != 0; }

  void push_evictable(BlockId block) {
    BlockState& state = states_[block];
    state.older = newest_;
    state.newer = SL_NONE;
    (newest_ == SL_NONE ? oldest_ : states_[newest_].newer) = block;
    newest_ = block;
    ++evictable_;
  }
  void drop_evictable(BlockId block) {
    BlockState& state = states_[block];
    if (cursor == block) cursor = state.newer;
    (state.older == SL_NONE ? oldest_ : states_[state.older].newer) = state.newer;
    (state.newer == SL_NONE ? newest_ : states_[state.newer].older) = state.older;
    state.older = state.newer = SL_NONE;
    --evictable_;
  }
  BlockId oldest() const { return oldest_; }
  BlockId cursor = SL_NONE;  // of a handover: a member of the evictable list; moves on when its block leaves

 private:
  std::uint32_t total_, evictable_ = 0;
  sl_block_row* rows_;
  HugeVector<BlockState> states_;
  HugeVector<BlockId> free_;  // a stack: the block used last is given first
  BlockId oldest_ = SL_NONE, newest_ = SL_NONE;
};

}  // namespace serveloop::kv
