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

Pool::Pool(Mapping& mapping, std::uint32_t blocks)
    : total_(blocks), rows_(mapping.lay_out_resident<sl_block_row>(blocks)), states_(blocks) {
  free_.reserve(blocks);
  for (BlockId block = blocks; block-- > 0;) {  // block 0 is given first
    rows_[block] = free_row();
    free_.push_back(block);
  }
}

BlockId Pool::take_private() {
  assert(!free_.empty());
  const BlockId block = free_.back();
  free_.pop_back();
  if (!free_.empty()) __builtin_prefetch(&rows_[free_.back()], 1);
  rows_[block].tier = SL_TIER_DEVICE;
  rows_[block].refs = 1;
  return block;
}

void Pool::give_back(BlockId block) {
  assert(!is_free(block));
  rows_[block] = free_row();
  states_[block].filling_by = 0;
  free_.push_back(block);
}

}  // namespace serveloop::kv
