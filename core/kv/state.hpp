// What the Cache is made of, and the moves of single blocks that its parts share. Private to core/kv.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "kv/cache.hpp"
#include "kv/event_log.hpp"
#include "kv/pool.hpp"
#include "kv/tree.hpp"

namespace serveloop::kv {

struct alignas(64) Sequence {
  std::vector<BlockId> table;  // the first `indexed` are in the tree, in path order; the others are private
  Key salt = 0;
  Key tail = 0;  // key of its path's last block; the salt while it has none
  Owner owner;
  NodeId node = kRoot;  // where its path ends
  std::uint32_t indexed = 0;
  std::uint32_t uncounted = SL_NONE;   // blocks from here on were pinned by a plan and have not run yet
  bool bound = false, placed = false;  // placed: counted at its node; false while it has no whole block
  bool transient = false, waiting = false;

  std::uint32_t held() const { return static_cast<std::uint32_t>(table.size()); }
};

struct Filling {  // the blocks that one submitted step writes
  std::uint64_t step;
  std::uint32_t serial;
  std::vector<BlockId> blocks;  // some may have left the tree since
};

struct Cache::State {
  State(Mapping& mapping, const Options& options);

  // ---- One block (blocks.cpp).
  void describe(sl_block_event& event, std::uint16_t kind, BlockId block, const Owner& owner) const;
  void emit(std::uint16_t kind, BlockId block, const Owner& owner, std::uint16_t reason = 0) {
    sl_block_event* const event = log.next(kind);
    if (event == nullptr) return;
    describe(*event, kind, block, owner);
    event->reason = reason;
    log.added(*event);
  }
  void pin(BlockId block);
  void count_hit(const Sequence& sequence, BlockId block);
  void unpin(const Sequence& sequence, BlockId block);
  // A private block enters the tree at (node, offset).
  void hang_in(const Sequence& sequence, std::uint32_t index, NodeId node, std::uint32_t offset,
               bool filling);
  // The sequence's private block at `index` gives way to the tree's.
  void take(Slot slot, Sequence& sequence, std::uint32_t index, BlockId block);
  // An unused block leaves the tree. The caller makes it free and tidies its node.
  void unhang(BlockId block);

  // ---- One sequence (commit.cpp).
  // Hangs the private blocks below `end` into the tree, or takes the tree's own; those from `filled_end` on
  // are still to be written, so there another's block ends it.
  void settle(Slot slot, Sequence& sequence, std::uint32_t end, std::uint32_t filled_end);
  void lengthen(Sequence& sequence, std::span<const Token> tokens);
  void move(Sequence& sequence, NodeId node);
  void release(Sequence& sequence, std::uint32_t keep);

  // ---- Plans (plan.cpp): blocks of the path that are on the device or will be once the marked entries are
  // committed.
  std::uint32_t planned(NodeId node) const {
    const Node& state = tree.node(node);
    return std::max(tree.row(node).device_blocks, state.plan == plan ? state.planned : 0);
  }
  std::uint32_t reach(NodeId node) const;

  // ---- Failures (filling.cpp): the block leaves the tree, and all below it.
  void drop_below(BlockId block);

  // ---- Handover (eviction.cpp): the block's state, as events for the successor, unless it was told.
  void tell(BlockId block);

  Options options;
  EventLog log;
  Pool pool;
  Tree tree;
  HugeVector<Sequence> sequences;
  std::vector<TableEdit> edits;
  std::uint64_t now_ns = 0;  // of the last call that told it
  std::uint64_t plan = 0;    // serial
  std::uint64_t hit_tokens = 0;
  Filling filling{0, 1, {}};     // not sealed yet
  std::vector<Filling> pending;  // sealed, not collected; oldest first
  std::vector<std::vector<BlockId>> spare;
  std::uint32_t answer = 0;  // serial of eviction answers
  BlockId scan = 0;          // of a handover: blocks below it were looked at
  std::vector<NodeId> scratch, scratch_nodes;
};

}  // namespace serveloop::kv
