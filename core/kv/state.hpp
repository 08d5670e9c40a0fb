// What the Cache is made of, and the moves of single blocks that its parts share. Private to core/kv.
#pragma once

#include <algorithm>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "kv/cache.hpp"
#include "kv/event_log.hpp"
#include "kv/pool.hpp"
#include "kv/regrets.hpp"
#include "kv/tree.hpp"

namespace serveloop::kv {

struct alignas(64) Sequence {
  // The first `indexed` are in the tree, in path order; the last `arriving` are targets of pending copies; those
  // between are private.
  std::vector<BlockId> table;
  Key salt = 0;
  Key tail = 0;  // key of its path's last block; the salt while it has none
  Owner owner;
  NodeId node = kRoot;  // where its path ends
  std::uint32_t indexed = 0;
  std::uint32_t arriving = 0;
  std::uint32_t uncounted = SL_NONE;   // blocks from here on were pinned by a plan and have not run yet
  bool bound = false, placed = false;  // placed: counted at its node; false while it has no whole block
  bool transient = false, waiting = false;
  // Its host copy: the blocks host_from .. of the table it had. SL_NONE where a device block came in its place.
  std::vector<BlockId> host;
  std::uint32_t host_from = 0;
  std::uint32_t outgoing = 0;  // of them, those whose copy is pending
  std::uint32_t gone = 0;      // and those of no more use, since the device has them again: SL_NONE

  std::uint32_t held() const { return static_cast<std::uint32_t>(table.size()); }
  std::uint32_t host_end() const {
    return host.empty() ? 0 : host_from + static_cast<std::uint32_t>(host.size());
  }
};

struct Filling {  // the blocks that one submitted step writes
  std::uint64_t step;
  std::uint32_t serial;
  std::vector<BlockId> blocks;  // some may have left the tree since
};

struct PendingCopy {
  BlockId from, to;
  bool settles;  // of one to the device: its source was in the tree, so it is whole and goes there
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
  // An eviction drops the block, which is in the tree until the caller takes it out.
  void emit_evicted(BlockId block, std::uint16_t reason) {
    regrets.evicted(pool.row(block).key, now_ns);
    emit(SL_BLOCK_GONE, block, {}, reason);
  }
  void emit_moved(BlockId from, BlockId to, const Owner& owner);
  void pin(BlockId block);
  void count_hit(const Sequence& sequence, BlockId block);
  void unpin(const Sequence& sequence, BlockId block);
  // Nobody uses the indexed block any more: evictable, or gone if it is transient and nothing is below it, and then
  // what is above it and was kept for its sake. Nodes are to be tidied after it: tidy_left().
  void idle(BlockId block, const Owner& owner);
  void sweep(BlockId block);  // the latter half, from `block` (or SL_NONE) upwards
  // A private block enters the tree at (node, offset).
  void hang_in(const Sequence& sequence, std::uint32_t index, NodeId node, std::uint32_t offset,
               bool filling);
  // The host block at (node, offset) gives its place, and its children, to a device block about to enter there.
  void take_place(BlockId block, BlockId host, NodeId node, std::uint32_t offset);
  // The sequence's private block at `index` gives way to the tree's.
  void take(Slot slot, Sequence& sequence, std::uint32_t index, BlockId block);
  // A block leaves the tree. The caller makes it free and tidies its node.
  void unhang(BlockId block);
  // The block above `block` has one cached child more, or fewer.
  void count_child(BlockId block, std::uint32_t by);
  // `children` blocks stand directly below (node, offset): from now on below block `above`. Looks at the node's
  // children until it has found them.
  void hand_children(NodeId node, std::uint32_t offset, std::uint32_t children, BlockId above);
  void tidy_left();

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

  // ---- Leaving (leaving.cpp). The block leaves the tree, and all below it in either tier. `evicts`: by an eviction.
  void drop_below(BlockId block, std::uint16_t reason, bool evicts = false);
  std::uint32_t cached_below(NodeId node) const;  // children of the node that have a cached block
  // A host block leaves the tree: free, or an orphan while its copy is pending. Returns who held it, or SL_NONE: a
  // hole in its copy.
  Slot leave_host(BlockId block);
  // Sequences that drop_below took a host block from: what is left of their copies is of no use.
  void lose_copies();

  // ---- Host tier (host.cpp, demotion.cpp, transfer.cpp).
  void list_copy(BlockId from, BlockId to, bool settles);
  // The device block goes to the host, in the tree if it is there. Returns the host block, held by `holder` if that
  // is not SL_NONE.
  BlockId move_out(BlockId block, Slot holder, const Owner& owner);
  // Where the part of the sequence's first `blocks` begins that nobody else needs on the device, and where it ends.
  std::pair<std::uint32_t, std::uint32_t> movable(const Sequence& sequence, std::uint32_t blocks) const;
  void bring(Slot slot, Sequence& sequence, BlockId host);
  void drop_copy(Sequence& sequence);
  Evicted apply_tiers(std::span<const sl_victim> victims);
  void ended_out(const PendingCopy& copy, bool failed);
  void ended_in(const PendingCopy& copy, bool failed);
  void arrived(Slot slot, const PendingCopy& copy);
  void cut_short(Slot slot);
  void release_source(BlockId host);

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
  Regrets regrets;
  Filling filling{0, 1, {}};     // not sealed yet
  std::vector<Filling> pending;  // sealed, not collected; oldest first
  std::vector<std::vector<BlockId>> spare;
  std::uint32_t answer = 0;  // serial of eviction answers
  BlockId scan = 0;          // of a handover: blocks below it were looked at
  std::vector<NodeId> scratch, scratch_nodes;
  std::vector<NodeId> left;  // nodes that lost a block and are to be tidied

  std::deque<PendingCopy> pending_copies;  // oldest first
  std::uint64_t copies_ended = 0;          // since the start
  std::vector<Copy> copies;
  std::vector<Transfer> transfers;
  std::vector<Slot> bereft;       // see lose_copies()
  std::vector<sl_victim> sorted;  // of the answer being applied
  std::vector<BlockId> kept_for;  // those above its transient ones, which may have been kept for their sake
  std::uint32_t host_left = 0;    // host blocks that drop_below took from the tree, a running count
};

}  // namespace serveloop::kv
