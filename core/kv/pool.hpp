// The blocks of both tiers: rows that policies read, the free lists, and the lists of evictable blocks in the
// order in which they became so.
//
// Invariants: a block is free (tier none), out of the tree (its tier, no key) or indexed (key); an evictable
// list holds exactly the indexed blocks of its tier with refs 0. As pins of device blocks are closed upward and
// tables unpin leaf first, a cached child stands before its parent in the device's list: any head of it is a
// legal answer to "what leaves the cache?". In the host's list a parent may stand before its child.
#pragma once

#include <serveloop/rows.h>

#include <vector>

#include "base/huge_pages.hpp"
#include "base/mapping.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

inline constexpr std::uint16_t kTiers[] = {SL_TIER_DEVICE, SL_TIER_HOST};

// What the core keeps of a block beside its row.
struct BlockState {
  BlockId older = SL_NONE, newer = SL_NONE;  // in its evictable list
  std::uint32_t filling_by = 0;              // serial of the submitted step that writes it; 0 = filled
  std::uint32_t answer = 0;                  // last eviction answer that named it
  std::uint32_t answer_children = 0;         // of its cached children, those that the answer names too
  Slot owner =
      SL_NONE;  // of a host block: the swapped sequence that holds it; of an arriving one: its table's
};

class Pool {
 public:
  Pool(Mapping& mapping, std::uint32_t device_blocks, std::uint32_t host_blocks);

  std::uint32_t total() const { return static_cast<std::uint32_t>(states_.size()); }  // of both tiers
  std::uint16_t tier_of(BlockId block) const {
    return block < tiers_[SL_TIER_DEVICE].total ? SL_TIER_DEVICE : SL_TIER_HOST;
  }
  std::uint32_t total(std::uint16_t tier) const { return tiers_[tier].total; }
  std::uint32_t free(std::uint16_t tier) const {
    return static_cast<std::uint32_t>(tiers_[tier].free.size());
  }
  std::uint32_t evictable(std::uint16_t tier) const { return tiers_[tier].evictable; }
  std::uint32_t in_transit(std::uint16_t tier) const { return tiers_[tier].in_transit; }
  sl_block_row& row(BlockId block) { return rows_[block]; }
  const sl_block_row& row(BlockId block) const { return rows_[block]; }
  BlockState& state(BlockId block) { return states_[block]; }
  const BlockState& state(BlockId block) const { return states_[block]; }
  const sl_block_row* rows() const { return rows_; }
  std::span<const BlockId> free_list(std::uint16_t tier) const { return tiers_[tier].free; }

  // Takes a free block, which there must be; refs 1.
  BlockId take(std::uint16_t tier);
  void give_back(BlockId block);  // makes it free; requires that no list holds it and no copy is pending
  // Out of the tree and out of its table while its copy is pending, or about to be.
  void strip(BlockId block);
  bool is_free(BlockId block) const { return rows_[block].tier == SL_TIER_NONE; }
  bool indexed(BlockId block) const { return (rows_[block].flags & SL_BLOCK_FLAG_INDEXED) != 0; }

  void begin_copy(BlockId block) {
    rows_[block].flags |= SL_BLOCK_FLAG_COPYING;
    ++tiers_[tier_of(block)].in_transit;
  }
  void end_copy(BlockId block) {
    rows_[block].flags = static_cast<std::uint16_t>(rows_[block].flags & ~SL_BLOCK_FLAG_COPYING);
    --tiers_[tier_of(block)].in_transit;
  }
  bool copying(BlockId block) const { return (rows_[block].flags & SL_BLOCK_FLAG_COPYING) != 0; }

  void push_evictable(BlockId block) {
    Tier& tier = tiers_[tier_of(block)];
    BlockState& state = states_[block];
    state.older = tier.newest;
    state.newer = SL_NONE;
    (tier.newest == SL_NONE ? tier.oldest : states_[tier.newest].newer) = block;
    tier.newest = block;
    ++tier.evictable;
  }
  void drop_evictable(BlockId block) {
    Tier& tier = tiers_[tier_of(block)];
    BlockState& state = states_[block];
    if (tier.cursor == block) tier.cursor = state.newer;
    (state.older == SL_NONE ? tier.oldest : states_[state.older].newer) = state.newer;
    (state.newer == SL_NONE ? tier.newest : states_[state.newer].older) = state.older;
    state.older = state.newer = SL_NONE;
    --tier.evictable;
  }
  BlockId oldest(std::uint16_t tier) const { return tiers_[tier].oldest; }
  // Of a handover: a member of the tier's evictable list; moves on when its block leaves.
  BlockId& cursor(std::uint16_t tier) { return tiers_[tier].cursor; }

 private:
  struct Tier {
    std::uint32_t total = 0, evictable = 0, in_transit = 0;
    BlockId oldest = SL_NONE, newest = SL_NONE, cursor = SL_NONE;
    HugeVector<BlockId> free;  // a stack: the block used last is given first
  };
  Tier tiers_[2];
  sl_block_row* rows_;
  HugeVector<BlockState> states_;
};

}  // namespace serveloop::kv
