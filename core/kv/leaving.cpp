// Blocks that leave the tree together with all that is below them, and what sequences lose by that.
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

std::uint32_t Cache::State::cached_below(NodeId node) const {
  const std::uint32_t blocks = tree.row(node).edge_blocks;
  if (tree.cached(node) < blocks) return 0;
  const sl_block_row& last = pool.row(tree.block(node, blocks - 1));
  return last.tier == SL_TIER_DEVICE ? last.cached_children + last.host_children : last.host_children;
}

void Cache::State::drop_below(BlockId block, std::uint16_t reason, bool evicts) {
  const NodeId top = pool.row(block).node;
  std::vector<NodeId>& nodes = scratch_nodes;  // those with cached blocks below, each after its parent
  nodes.assign(1, top);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::uint32_t more = cached_below(nodes[i]);
    for (NodeId child = tree.node(nodes[i]).first_child; more > 0; child = tree.node(child).next_sibling)
      if (tree.cached(child) > 0) {
        nodes.push_back(child);
        --more;
      }
  }

  for (std::size_t i = nodes.size(); i-- > 0;) {
    const std::uint32_t keep = i == 0 ? pool.row(block).depth - tree.row(top).depth_blocks : 0;
    while (tree.cached(nodes[i]) > keep) {
      const BlockId last = tree.block(nodes[i], tree.cached(nodes[i]) - 1);
      if (evicts)
        emit_evicted(last, reason);
      else
        emit(SL_BLOCK_GONE, last, {}, reason);
      if (pool.row(last).tier == SL_TIER_HOST) {
        ++host_left;
        if (const Slot holder = leave_host(last); holder != SL_NONE) bereft.push_back(holder);
        continue;
      }
      assert(pool.row(last).refs == 0 && "a table still holds a block that leaves the tree");
      pool.drop_evictable(last);
      unhang(last);
      pool.give_back(last);
    }
  }
  for (std::size_t i = nodes.size(); i-- > 0;) tree.tidy(nodes[i]);
}

Slot Cache::State::leave_host(BlockId block) {
  sl_block_row& row = pool.row(block);
  const Slot holder = pool.state(block).owner;
  if (row.refs == 0) pool.drop_evictable(block);
  if (holder != SL_NONE) {
    Sequence& sequence = sequences[holder];
    sequence.host[row.depth - sequence.host_from] = SL_NONE;
    ++sequence.gone;
    if (row.flags & SL_BLOCK_FLAG_FILLING) --sequence.outgoing;
  }
  unhang(block);
  if (pool.copying(block))
    pool.strip(block);
  else
    pool.give_back(block);
  return holder;
}

void Cache::State::lose_copies() {
  for (const Slot slot : bereft) {
    Sequence& sequence = sequences[slot];
    if (sequence.host.empty()) continue;  // named twice
    drop_copy(sequence);
    transfers.push_back({slot, Transfer::lost});
  }
  bereft.clear();
}

}  // namespace serveloop::kv
