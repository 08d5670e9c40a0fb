// Moves of one block: private -> indexed -> evictable -> free, with the rows and events that tell of them.
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::State::describe(sl_block_event& event, std::uint16_t kind, BlockId block,
                            const Owner& owner) const {
  const sl_block_row& row = pool.row(block);
  event.key = row.key;
  event.parent_key = row.parent == SL_NONE ? tree.node(row.node).salt : pool.row(row.parent).key;
  event.request = owner.request;
  event.request_row = owner.row;
  event.block = block;
  event.depth = row.depth;
  event.kind = kind;
  event.tier = SL_TIER_DEVICE;
  event.cached_children = row.cached_children;
  event.node = row.node;
  event.flags = event.reason = 0;
  event.reserved = 0;
}

void Cache::State::pin(BlockId block) {
  sl_block_row& row = pool.row(block);
  if (row.refs++ == 0) pool.drop_evictable(block);
  row.last_use_ns = now_ns;
}

void Cache::State::count_hit(const Sequence& sequence, BlockId block) {
  ++pool.row(block).hits;
  hit_tokens += options.block_tokens;
  emit(SL_BLOCK_HIT, block, sequence.owner);
}

void Cache::State::unpin(const Sequence& sequence, BlockId block) {
  sl_block_row& row = pool.row(block);
  assert(row.refs > 0);
  row.last_use_ns = now_ns;
  if (--row.refs > 0) return;
  if ((row.flags & SL_BLOCK_FLAG_TRANSIENT) && row.cached_children == 0) {
    emit(SL_BLOCK_GONE, block, sequence.owner);  // nobody decided it: no reason
    unhang(block);
    pool.give_back(block);
  } else {
    pool.push_evictable(block);
    emit(SL_BLOCK_IDLE, block, sequence.owner);
  }
}

void Cache::State::hang_in(const Sequence& sequence, std::uint32_t index, NodeId node, std::uint32_t offset,
                           bool is_filling) {
  const BlockId block = sequence.table[index];
  sl_node_row& at = tree.row(node);
  sl_block_row& row = pool.row(block);
  assert(offset == at.device_blocks && row.refs == 1 && !pool.indexed(block));
  row.key = tree.key(node, offset);
  row.last_use_ns = row.created_ns = now_ns;
  row.node = node;
  row.depth = index;
  row.flags = SL_BLOCK_FLAG_INDEXED;
  if (sequence.transient) row.flags |= SL_BLOCK_FLAG_TRANSIENT;
  if (index > 0) {
    row.parent = sequence.table[index - 1];
    ++pool.row(row.parent).cached_children;
  }
  tree.set_block(node, offset, block);
  ++at.device_blocks;
  if (is_filling) {
    row.flags |= SL_BLOCK_FLAG_FILLING;
    ++at.filling;
    pool.state(block).filling_by = filling.serial;
    filling.blocks.push_back(block);
  }
  tree.changed(node);
  emit(SL_BLOCK_INSERTED, block, sequence.owner);
}

void Cache::State::take(Slot slot, Sequence& sequence, std::uint32_t index, BlockId block) {
  assert(pool.row(sequence.table[index]).refs == 1);
  pool.give_back(sequence.table[index]);
  pin(block);
  count_hit(sequence, block);
  sequence.table[index] = block;
  edits.push_back({slot, index, block});
}

void Cache::State::unhang(BlockId block) {
  const sl_block_row& row = pool.row(block);
  assert(row.refs == 0);
  sl_node_row& at = tree.row(row.node);
  tree.set_block(row.node, row.depth - at.depth_blocks, SL_NONE);
  --at.device_blocks;
  if (row.flags & SL_BLOCK_FLAG_FILLING) --at.filling;
  if (row.parent != SL_NONE) --pool.row(row.parent).cached_children;
  tree.changed(row.node);
}

}  // namespace serveloop::kv
