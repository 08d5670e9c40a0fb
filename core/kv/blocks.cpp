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
  event.tier = row.tier;
  event.cached_children = row.cached_children;
  event.node = row.node;
  event.flags = event.reason = 0;
  event.from = 0;
}

void Cache::State::emit_moved(BlockId from, BlockId to, const Owner& owner) {
  sl_block_event* const event = log.next(SL_BLOCK_MOVED);
  if (event == nullptr) return;
  describe(*event, SL_BLOCK_MOVED, to, owner);
  event->from = from;
  log.added(*event);
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
  if (--row.refs == 0) idle(block, sequence.owner);
}

namespace {
bool goes_when_idle(const sl_block_row& row) {
  return (row.flags & SL_BLOCK_FLAG_TRANSIENT) != 0 && row.cached_children == 0 && row.host_children == 0;
}
}  // namespace

void Cache::State::idle(BlockId block, const Owner& owner) {
  if (!goes_when_idle(pool.row(block))) {
    pool.push_evictable(block);
    emit(SL_BLOCK_IDLE, block, owner);
    return;
  }
  const BlockId above = pool.row(block).parent;
  emit(SL_BLOCK_GONE, block, owner);  // nobody decided it: no reason
  unhang(block);
  pool.give_back(block);
  sweep(above);
}

void Cache::State::sweep(BlockId block) {
  while (block != SL_NONE && pool.row(block).refs == 0 && goes_when_idle(pool.row(block))) {
    const BlockId above = pool.row(block).parent;
    emit(SL_BLOCK_GONE, block, {});
    pool.drop_evictable(block);
    unhang(block);
    pool.give_back(block);
    block = above;
  }
}

void Cache::State::hang_in(const Sequence& sequence, std::uint32_t index, NodeId node, std::uint32_t offset,
                           bool is_filling) {
  const BlockId block = sequence.table[index];
  sl_node_row& at = tree.row(node);
  sl_block_row& row = pool.row(block);
  assert(offset == at.device_blocks && row.refs == 1 && !pool.indexed(block));
  // Someone has it in host memory: this one takes its place, and what is below it there.
  const BlockId before = at.host_blocks > 0 ? tree.block(node, offset) : SL_NONE;
  row.key = tree.key(node, offset);
  row.last_use_ns = row.created_ns = now_ns;
  row.node = node;
  row.depth = index;
  row.flags = SL_BLOCK_FLAG_INDEXED;
  if (sequence.transient) row.flags |= SL_BLOCK_FLAG_TRANSIENT;
  if (before != SL_NONE) take_place(block, before, node, offset);
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
  if (before != SL_NONE)
    emit_moved(before, block, sequence.owner);
  else
    emit(SL_BLOCK_INSERTED, block, sequence.owner);
  if (before == SL_NONE) regrets.entered(row.key, now_ns);
}

void Cache::State::take_place(BlockId block, BlockId host, NodeId node, std::uint32_t offset) {
  sl_block_row& row = pool.row(block);
  const sl_block_row& before = pool.row(host);
  row.created_ns = before.created_ns;
  row.hits = before.hits;
  row.host_children = before.host_children;
  hand_children(node, offset, before.host_children, block);
  const bool was_filling = (before.flags & SL_BLOCK_FLAG_FILLING) != 0;
  const Slot holder = leave_host(host);
  if (holder != SL_NONE && was_filling && sequences[holder].outgoing == 0)  // it waited for this copy alone
    transfers.push_back({holder, Transfer::out});
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
  sl_node_row& at = tree.row(row.node);
  tree.set_block(row.node, row.depth - at.depth_blocks, SL_NONE);
  if (row.tier == SL_TIER_DEVICE) {
    --at.device_blocks;
    if (row.flags & SL_BLOCK_FLAG_FILLING) --at.filling;
  } else {
    --at.host_blocks;
  }
  count_child(block, -1u);
  if ((row.flags & SL_BLOCK_FLAG_TRANSIENT) && (left.empty() || left.back() != row.node))
    left.push_back(row.node);
  tree.changed(row.node);
}

void Cache::State::count_child(BlockId block, std::uint32_t by) {
  const sl_block_row& row = pool.row(block);
  if (row.parent == SL_NONE) return;
  sl_block_row& above = pool.row(row.parent);
  if (row.tier == above.tier) above.cached_children += by;
  if (row.tier == SL_TIER_HOST) above.host_children += by;
}

void Cache::State::hand_children(NodeId node, std::uint32_t offset, std::uint32_t children, BlockId above) {
  if (children == 0) return;
  if (offset + 1 < tree.row(node).edge_blocks) {
    pool.row(tree.block(node, offset + 1)).parent = above;
    return;
  }
  for (NodeId child = tree.node(node).first_child; children > 0; child = tree.node(child).next_sibling)
    if (tree.cached(child) > 0) {
      pool.row(tree.block(child, 0)).parent = above;
      --children;
    }
}

void Cache::State::tidy_left() {
  for (const NodeId node : left) tree.tidy(node);
  left.clear();
}

}  // namespace serveloop::kv
