// The paged KV cache: block pool, block tables, reference counts and the prompt tree, over the tables that
// policies read.
//
// Moves no bytes and computes nothing: it says which block holds what, and lists what to copy. Blocks are
// whole (`block_tokens` tokens). Ids: device blocks first, then host blocks. A device block is
//   free      in the pool's list,
//   private   in one sequence's table, not in the tree, refs 1,
//   indexed   in the tree; refs = tables that hold it; evictable when refs is 0,
//   leaving   source of a pending copy to the host: in no table, not in the tree; free once that ended,
//   arriving  target of a pending copy from the host: at the end of one table, whose sequence may not run yet.
// A host block is
//   free, or
//   indexed   in the tree; refs = the swapped sequence that holds it, if one does, + its pending copy,
//   private   of one swapped sequence,
//   orphan    out of the tree and of no sequence while a copy is pending; free once that ended.
// Along every path of the tree the tiers are device*, host*, none*, and each of its places has one block; the
// indexed blocks of a table come first, in path order; pins of device blocks are closed under "above". So no
// block that two tables share is ever written, and copy on write is not needed. Not thread-safe: the loop
// thread's. Invariants are stated in pool.hpp and tree.hpp and proven by audit().
#pragma once

#include <serveloop/events.h>
#include <serveloop/eviction.h>
#include <serveloop/view.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "kv/copies.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

class Cache {
 public:
  struct State;  // state.hpp
  Cache(Mapping& mapping, const Options& options);
  ~Cache();
  // Bytes that the constructor lays out in its mapping: reserved, not touched.
  static std::size_t mapping_bytes(const Options& options);

  // ---- Paths. A sequence has a path from arrival to its end; the tree keeps the tokens.
  // Hangs a prompt's whole blocks into the tree (splitting where it diverges) and binds the slot to the node
  // where it ends: above the first block whose key stands there for other tokens, if there is one; what lies
  // below stays private. `transient`: nothing of it is kept when unpinned. Not waiting yet.
  void bind(Slot slot, Owner owner, Key salt, std::span<const Token> tokens, std::span<const Key> keys,
            bool transient);
  // The sequence is over: releases all it holds, in both tiers, and forgets its path. Nodes that nobody needs
  // go. Blocks of its that a copy still reads or writes are free once that ended.
  void unbind(Slot slot);
  void set_waiting(Slot slot, bool waiting);  // counted in sl_node_row.waiting
  NodeId node_of(Slot slot) const;            // SL_NONE: no whole block
  // Into the processor's cache, for index_generated(): the sequence; once that is there, where its path and its table
  // end; once those are there, its last block.
  void prefetch(Slot slot) const;
  void prefetch_end(Slot slot) const;
  void prefetch_block(Slot slot) const;

  // ---- Planning a step: what would an entry hit, and how many blocks must it be given?
  // Forgets the last plan's marks.
  void begin_plan();
  // Extends the slot's table by what the tree has on the device beyond it, at most to `limit_blocks` whole
  // blocks in all, and first swaps private whole blocks for the tree's own where another sequence hung the
  // same tokens ("takes that block"). Requires: all blocks of the table are full. Pins what it takes. Returns
  // the blocks now held. A hit counts, and is told, once its entry runs: count_hits().
  std::uint32_t pin_prefix(Slot slot, std::uint32_t limit_blocks, std::uint64_t now_ns);
  // Blocks that pin_prefix would reach once the entries marked so far have hung theirs in (>= the blocks
  // held).
  std::uint32_t planned_prefix(Slot slot, std::uint32_t limit_blocks) const;
  // An entry of this plan will hang in its path's blocks up to `end_block` (exclusive), the first it writes
  // to being `from_filling_block`. Marks nothing where that one is there already under another sequence:
  // index_path will stop there.
  void mark_planned(Slot slot, std::uint32_t end_block, std::uint32_t from_filling_block = SL_NONE);

  // ---- Committing a step.
  // The slot's entry runs: what pin_prefix took for it since the last call are hits (SL_BLOCK_HIT, row.hits).
  void count_hits(Slot slot);
  // Gives the slot private blocks until it holds `blocks` in all. Requires enough free ones.
  void extend(Slot slot, std::uint32_t blocks);
  // Hangs the slot's private blocks below `end_block` into the tree at their place on its path: those from
  // `from_filling_block` on as being filled, by the step being committed or one in flight; those below as filled
  // by steps that were collected. Where another sequence's block is already there, a filled one gives way to it,
  // one being filled ends it (a later pin_prefix takes the other).
  void index_path(Slot slot, std::uint32_t end_block, std::uint32_t from_filling_block, std::uint64_t now_ns);
  // The block at `index` of the table, of tokens generated at least in part, became whole: lengthens the path
  // by it where the path reaches up to it, and hangs it in with all before it, or takes what is there.
  // `tokens`: block_tokens entries.
  void index_generated(Slot slot, std::uint32_t index, std::span<const Token> tokens, std::uint64_t now_ns);
  // All blocks marked as being filled by index_path calls since the last seal are step `step`'s.
  void seal(std::uint64_t step);
  // Step `step` was collected: its blocks are filled. On failure they leave the tree with all below them; the
  // tables that hold them must be released by the caller first.
  void filled(std::uint64_t step);
  void failed(std::uint64_t step);
  // Releases all blocks of the table from index `keep` on, leaf first. Those that are arriving are free once
  // their copy ended; where none is left of them, no Transfer is told.
  void release(Slot slot, std::uint32_t keep, std::uint64_t now_ns);

  // ---- Eviction.
  // Checks an answer: SL_REASON_NONE, or why it is refused whole (unknown id, stale key, pinned, twice,
  // cached children, fewer device blocks than `need` or host blocks than `host_need` though enough could leave, a
  // tier that is none or, for a host block, other than SL_TIER_NONE). `bad_row`: gets the index of the victim that is
  // refused, if it is a single one.
  std::uint16_t check(std::span<const sl_victim> victims, std::uint32_t need, std::uint32_t host_need = 0,
                      std::uint32_t* bad_row = nullptr);
  // Applies a checked answer: host blocks are dropped, then device blocks dropped or demoted. A demoted one is
  // SL_BLOCK_MOVED at once, and free once its copy ended. Demotions are drops without a host tier, of blocks
  // that a step still writes (SL_REASON_STILL_FILLING), below a dropped block, and where the host is full: those
  // deepest in their path first (SL_REASON_HOST_FULL). With a device block go the host blocks below it; swapped
  // sequences that held some lose their copy (transfers()).
  Evicted apply(std::span<const sl_victim> victims);
  // The linked-in fallback: least recently used blocks of each tier, leaf first, dropped; fewer where fewer can
  // leave.
  std::vector<sl_victim> fallback_victims(std::uint32_t need, std::uint32_t host_need = 0) const;

  // ---- Host tier. A sequence that has a host copy, or blocks arriving, must not run: none of the calls above
  // but unbind, set_waiting, release and frees may name it, pin_prefix only if nothing is arriving.
  // Of the sequence's first `blocks` (those with confirmed KV; the last may be partial), how many would
  // swap_out move, were there room for them? The longest suffix that nobody else holds, that no submitted step is
  // writing and that has no other cached device block below it; 0 where blocks of its are in host memory or
  // arriving. O(blocks).
  std::uint32_t swappable(Slot slot, std::uint32_t blocks) const;
  // Moves those to host memory and empties the table: what stands before them is unpinned, what stands behind
  // them is dropped. Returns how many move; 0: nothing happened (none can, or the host has no room for all), and
  // the caller lets it recompute. Requires that it has no host copy. The device blocks are free once the copies
  // ended; Transfer::out tells when all have.
  std::uint32_t swap_out(Slot slot, std::uint32_t blocks, std::uint64_t now_ns);
  // What bring_in would do now. Call pin_prefix first, so that what it counts on stays. O(blocks beyond the
  // table).
  BringIn plan_bring_in(Slot slot, std::uint32_t limit_blocks) const;
  // Brings in what of the slot's path is in host memory, at most to `limit_blocks` whole blocks in all (as for
  // pin_prefix), then what its own host copy has beyond. Pins the device prefix first. Requires that the plan is
  // whole, not pending, and that its `need` is free. Returns the copies: with 0 all is there at once; else the
  // blocks are in the table, may be sent to the executor, and Transfer::in or ::cut tells when they can be used.
  // The host copy is used up. The table's tokens with KV then: max(indexed() * block_tokens, min(table *
  // block_tokens, tokens that had KV at swap_out)).
  std::uint32_t bring_in(Slot slot, std::uint32_t limit_blocks, std::uint64_t now_ns);
  // Gives up the slot's host copy: it will recompute. What is indexed of it stays cached in host memory.
  void drop_copy(Slot slot, std::uint64_t now_ns);
  // Has it swapped out what it had? The device may have all of that again by now.
  bool has_host_copy(Slot slot) const;
  std::uint32_t host_copy(
      Slot slot) const;  // blocks that it holds in host memory, for sl_seq_row.blocks_host
  // Copies to hand to the executor with this step's batch, in order. Cleared by the caller.
  std::vector<Copy>& copies();
  std::uint64_t copies_pending() const;  // listed since the start and not told as ended
  // `ended` copies have ended since the start, in the order in which they were listed; of those that ended since
  // the last call, `failed` (ordinals from 0 since the start, ascending) failed. A failed block leaves the tree
  // with all below it, in either direction, and is recomputed.
  void copied(std::uint64_t ended, std::span<const std::uint64_t> failed, std::uint64_t now_ns);
  std::vector<Transfer>& transfers();  // drained by the caller each step; most are told by copied()

  // ---- Facts.
  std::span<const BlockId> table(Slot slot) const;  // valid until the slot's table changes
  std::uint32_t indexed(Slot slot) const;
  // Blocks that would become free on the device if the slot released all from `keep` on: those nobody else
  // holds, private or evictable then; none that is arriving. O(log blocks).
  std::uint32_t frees(Slot slot, std::uint32_t keep) const;
  // in_transit: with a pending copy; on the device those leaving and arriving. A host block above a held one
  // counts as evictable, but goes only after it.
  sl_tier tier(std::uint16_t tier) const;
  sl_table node_table() const;   // rows of free nodes: parent SL_NONE and zeros
  sl_table block_table() const;  // device blocks, then host blocks
  std::uint32_t block_tokens() const;
  std::uint64_t hit_tokens() const;  // since the start, for metrics
  // Evicted blocks whose content entered the tree again within 60 s, since the start.
  std::uint64_t regretted_evictions() const;

  // ---- What happened, drained by the step loop.
  sl_table block_events() const;  // sl_block_event, in the mapping; drain each step
  void clear_block_events();
  // SL_EV_SPLIT, SL_EV_NODE_CHANGED (once a node and drain), SL_EV_NODE_GONE.
  std::vector<sl_event>& node_events();
  std::vector<TableEdit>& edits();  // cleared by the caller

  // ---- Hot swap of the eviction policy. From begin to end the cache also keeps the event stream of the
  // policy to come: blocks that existed before as SL_BLOCK_INSERTED (then SL_BLOCK_IDLE if evictable) with
  // SL_EVENT_HANDOVER, once each and before any live event of theirs, mixed with all live events.
  void begin_handover();
  // Tells up to `most` blocks more: evictable ones oldest first, then those in use. False when all have been
  // told.
  bool hand_over(std::uint32_t most);
  std::vector<sl_block_event>& successor_events();  // drained by the caller
  void end_handover();

  // Proves the invariants; O(everything). Empty when all hold, else the first violation. With `idle` also: no
  // table holds a block, so that every block is free or evictable.
  std::string audit(bool idle) const;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace serveloop::kv
