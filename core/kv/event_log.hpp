// What happened to blocks and nodes since the step loop last drained it.
//
// Block events lie in the mapping, where policies read them. Between two drains a block can be hung in, moved,
// idle and gone a few times each, but hit by every sequence: so hits beyond their share of the buffer are left out
// (the row's `hits` counts them all), and the rest of it holds the others. During a handover the log also
// keeps the stream of the policy to come.
#pragma once

#include <serveloop/events.h>

#include <vector>

#include "base/mapping.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

class EventLog {
 public:
  EventLog(Mapping& mapping, std::uint32_t blocks);  // of both tiers
  static std::size_t capacity(std::uint32_t blocks) { return kSpare + std::size_t{8} * blocks; }

  // The place of the next block event, for the caller to fill in and to hand to added(); null if it is left out. Filled
  // in place: a copy would wait until all that was written before has left the processor.
  sl_block_event* next(std::uint16_t kind) {
    if (count_ >= (kind == SL_BLOCK_HIT ? hits_end_ : capacity_)) return overflow(kind);
    return &rows_[count_++];
  }
  void added(const sl_block_event& event) {
    if (following_) follow(event);
  }
  sl_table blocks() const { return table_of(rows_, count_); }
  void clear_blocks() { count_ = 0; }

  // NODE_CHANGED, once a node and drain: `at` is where the caller keeps the place of the node's last one.
  void node_changed(NodeId node, std::uint32_t& at) {
    if (at < nodes_.size() && nodes_[at].node == node && nodes_[at].kind == SL_EV_NODE_CHANGED) return;
    at = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back({SL_EV_NODE_CHANGED, 0, node, 0, 0, 0});
  }
  void node_gone(NodeId node) { nodes_.push_back({SL_EV_NODE_GONE, 0, node, 0, 0, 0}); }
  void node_split(NodeId lower, NodeId upper, std::uint32_t blocks) {
    nodes_.push_back({SL_EV_SPLIT, 0, lower, 0, upper, blocks});
  }
  std::vector<sl_event>& nodes() { return nodes_; }

  // ---- Handover. `state` is an INSERTED event of a block that existed before; tells it once.
  void follow_begin();
  bool told(BlockId block) const { return told_[block] == round_; }
  void tell(const sl_block_event& state);
  void follow_end();
  std::vector<sl_block_event>& successor() { return successor_; }

 private:
  static constexpr std::size_t kSpare = 4096;
  void follow(const sl_block_event& event);
  sl_block_event* overflow(std::uint16_t kind) const;

  sl_block_event* rows_;
  std::size_t count_ = 0, capacity_, hits_end_;
  std::vector<sl_event> nodes_;
  bool following_ = false;
  std::uint32_t round_ = 0;          // of handovers
  std::vector<std::uint32_t> told_;  // per block: the round in which the successor learnt of it
  std::vector<sl_block_event> successor_;
};

}  // namespace serveloop::kv
