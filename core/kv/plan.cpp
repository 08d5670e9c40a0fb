// Planning: what an entry hits in the tree, now and once the entries before it are committed.
#include <algorithm>
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::begin_plan() { ++state_->plan; }

std::uint32_t Cache::pin_prefix(Slot slot, std::uint32_t limit_blocks, std::uint64_t now_ns) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  state.now_ns = now_ns;
  const std::uint32_t end = state.tree.end(sequence.node);
  assert(sequence.arriving == 0);
  if (sequence.indexed >= end) return sequence.held();
  Walk walk(state.tree, sequence.node, sequence.indexed, state.scratch);
  for (; sequence.indexed < std::min(sequence.held(), end); ++sequence.indexed, walk.next()) {
    const BlockId block = walk.block();
    if (block == SL_NONE) return sequence.held();
    state.take(slot, sequence, sequence.indexed, block);
  }
  for (; sequence.held() < std::min(limit_blocks, end); ++sequence.indexed, walk.next()) {
    const BlockId block = walk.block();
    if (block == SL_NONE) break;
    state.pin(block);
    sequence.uncounted = std::min(sequence.uncounted, sequence.held());
    state.edits.push_back({slot, sequence.held(), block});
    sequence.table.push_back(block);
  }
  return sequence.held();
}

void Cache::count_hits(Slot slot) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  for (std::uint32_t i = sequence.uncounted; i < sequence.indexed; ++i)
    state.count_hit(sequence, sequence.table[i]);
  sequence.uncounted = SL_NONE;
}

// Device blocks and planned ones are a prefix of each path, so the lowest node that has any tells how far
// they go.
std::uint32_t Cache::State::reach(NodeId node) const {
  for (; node != kRoot; node = tree.row(node).parent)
    if (const std::uint32_t blocks = planned(node)) return tree.row(node).depth_blocks + blocks;
  return 0;
}

std::uint32_t Cache::planned_prefix(Slot slot, std::uint32_t limit_blocks) const {
  const Sequence& sequence = state_->sequences[slot];
  return std::max(sequence.held(), std::min(limit_blocks, state_->reach(sequence.node)));
}

void Cache::mark_planned(Slot slot, std::uint32_t end_block, std::uint32_t from_filling_block) {
  State& state = *state_;
  NodeId node = state.sequences[slot].node;
  const std::uint32_t end = std::min(end_block, state.tree.end(node));
  if (end == 0 || state.reach(node) > from_filling_block) return;
  while (state.tree.row(node).depth_blocks >= end) node = state.tree.row(node).parent;
  for (; node != kRoot; node = state.tree.row(node).parent) {
    const sl_node_row& row = state.tree.row(node);
    const std::uint32_t blocks = std::min(end - row.depth_blocks, row.edge_blocks);
    if (state.planned(node) >= blocks) return;  // then all above is there too
    state.tree.node(node).plan = state.plan;
    state.tree.node(node).planned = blocks;
  }
}

}  // namespace serveloop::kv
