#include "kv/pool.hpp"

#include <cassert>

namespace serveloop::kv {

namespace {
sl_block_row free_row() {
  sl_block_row row{};
  row.node = row.parent = SL_NONE;
  row.tier = SL_TIER_NONE;
  return row;
}
}  // namespace

Pool::Pool(Mapping& mapping, std::uint32_t device_blocks, std::uint32_t host_blocks)
    : rows_(mapping.lay_out_resident<sl_block_row>(std::size_t{device_blocks} + host_blocks)),
      states_(std::size_t{device_blocks} + host_blocks) {
  tiers_[SL_TIER_DEVICE].total = device_blocks;
  tiers_[SL_TIER_HOST].total = host_blocks;
  for (Tier& tier : tiers_) tier.free.reserve(tier.total);
  for (BlockId block = total(); block-- > 0;) {  // each tier's first is given first
    rows_[block] = free_row();
    tiers_[tier_of(block)].free.push_back(block);
  }
}

BlockId Pool::take(std::uint16_t tier) {
  HugeVector<BlockId>& free = tiers_[tier].free;
  assert(!free.empty());
  const BlockId block = free.back();
  free.pop_back();
  if (!free.empty()) __builtin_prefetch(&rows_[free.back()], 1);
  rows_[block].tier = tier;
  rows_[block].refs = 1;
  return block;
}

void Pool::give_back(BlockId block) {
  assert(!is_free(block) && !copying(block));
  rows_[block] = free_row();
  states_[block].filling_by = 0;
  states_[block].owner = SL_NONE;
  tiers_[tier_of(block)].free.push_back(block);
}

void Pool::strip(BlockId block) {
  const bool was_copying = copying(block);
  sl_block_row& row = rows_[block];
  row = free_row();
  row.tier = tier_of(block);
  if (was_copying) row.flags = SL_BLOCK_FLAG_COPYING;
  row.refs = was_copying && row.tier == SL_TIER_HOST ? 1 : 0;  // of a host block its copy counts
  states_[block].filling_by = 0;
  states_[block].owner = SL_NONE;
}

}  // namespace serveloop::kv
