// Blocks that submitted steps are still writing.
#include <serveloop/reasons.h>

#include <cassert>
#include <utility>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {
// The step's entry of `pending`, taken out; an empty one if it wrote no indexed block.
Filling take_out(std::vector<Filling>& pending, std::uint64_t step) {
  for (auto it = pending.begin(); it != pending.end(); ++it) {
    if (it->step != step) continue;
    Filling found = std::move(*it);
    pending.erase(it);
    return found;
  }
  return {step, 0, {}};
}
}  // namespace

void Cache::seal(std::uint64_t step) {
  State& state = *state_;
  if (state.filling.blocks.empty()) return;
  const std::uint32_t serial = state.filling.serial;
  state.filling.step = step;
  state.pending.push_back(std::move(state.filling));
  state.filling = {0, serial + 1 != 0 ? serial + 1 : 1, {}};
  if (state.spare.empty()) return;
  state.filling.blocks = std::move(state.spare.back());
  state.spare.pop_back();
}

void Cache::filled(std::uint64_t step) {
  State& state = *state_;
  Filling done = take_out(state.pending, step);
  for (const BlockId block : done.blocks) {
    if (state.pool.state(block).filling_by != done.serial) continue;  // left the tree since
    state.pool.state(block).filling_by = 0;
    sl_block_row& row = state.pool.row(block);
    row.flags = static_cast<std::uint16_t>(row.flags & ~SL_BLOCK_FLAG_FILLING);
    --state.tree.row(row.node).filling;
  }
  if (done.serial == 0) return;
  done.blocks.clear();
  state.spare.push_back(std::move(done.blocks));
}

void Cache::failed(std::uint64_t step) {
  State& state = *state_;
  const Filling lost = take_out(state.pending, step);
  for (const BlockId block : lost.blocks)
    if (state.pool.state(block).filling_by == lost.serial) state.drop_below(block);
}

void Cache::State::drop_below(BlockId block) {
  const NodeId top = pool.row(block).node;
  std::vector<NodeId>& nodes = scratch_nodes;  // those with device blocks below, each after its parent
  nodes.assign(1, top);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (NodeId child = tree.node(nodes[i]).first_child; child != SL_NONE;
         child = tree.node(child).next_sibling)
      if (tree.row(child).device_blocks > 0) nodes.push_back(child);

  for (std::size_t i = nodes.size(); i-- > 0;) {
    const sl_node_row& row = tree.row(nodes[i]);
    const std::uint32_t keep = i == 0 ? pool.row(block).depth - row.depth_blocks : 0;
    while (row.device_blocks > keep) {
      const BlockId last = tree.block(nodes[i], row.device_blocks - 1);
      assert(pool.row(last).refs == 0 && "a table still holds a block of a failed step");
      emit(SL_BLOCK_GONE, last, {}, SL_REASON_STEP_FAILED);
      pool.drop_evictable(last);
      unhang(last);
      pool.give_back(last);
    }
  }
  for (std::size_t i = nodes.size(); i-- > 0;) tree.tidy(nodes[i]);
}

}  // namespace serveloop::kv
