// The prompt tree: a radix tree of whole blocks.
//
// Invariants: children of a node differ in the key of their first block; the device blocks of a path are a
// prefix of it, and its host blocks follow them without a gap; a node other than the root has a live sequence, a
// cached block (of either tier) or at least two children; an edge without live sequences or children below it
// ends where its cached blocks end. A split keeps the id below, a merge too: sequences name the lower node.
#pragma once

#include <serveloop/rows.h>

#include <span>
#include <vector>

#include "base/mapping.hpp"
#include "kv/cells.hpp"
#include "kv/child_map.hpp"
#include "kv/event_log.hpp"
#include "kv/pool.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

inline constexpr NodeId kRoot = 0;

// What the core keeps of a node beside its row.
struct alignas(64) Node {
  std::vector<CellId> edge;
  Key salt = 0;  // of its whole subtree
  NodeId first_child = SL_NONE, next_sibling = SL_NONE, previous_sibling = SL_NONE;
  std::uint32_t children = 0;
  std::uint32_t event = SL_NONE;  // place of its last NODE_CHANGED
  std::uint32_t planned = 0;      // blocks of the edge that entries of plan `plan` will have hung in
  std::uint64_t plan = 0;
};

class Tree {
 public:
  Tree(Mapping& mapping, Pool& pool, EventLog& log, std::uint32_t block_tokens, std::uint32_t max_nodes);

  // Walks down from `node` along the keys and tokens of whole blocks, splitting where they leave an edge and
  // adding a leaf for the rest. Returns the node where the path ends: above the first block whose key stands
  // for other tokens, if there is one.
  NodeId hang(NodeId node, Key salt, std::span<const Key> keys, std::span<const Token> tokens);
  // Lengthens a leaf by a block.
  void append(NodeId leaf, Key key, std::span<const Token> tokens) {
    nodes_[leaf].edge.push_back(cells_.add(key, tokens));
    ++rows_[leaf].edge_blocks;
  }
  // Restores the invariants at `node` after it lost a sequence, a block or a child; goes on upwards as far as
  // nodes go.
  void tidy(NodeId node);

  sl_node_row& row(NodeId node) { return rows_[node]; }
  const sl_node_row& row(NodeId node) const { return rows_[node]; }
  Node& node(NodeId node) { return nodes_[node]; }
  const Node& node(NodeId node) const { return nodes_[node]; }
  bool in_use(NodeId node) const { return node == kRoot || rows_[node].parent != SL_NONE; }
  std::uint32_t high_water() const { return static_cast<std::uint32_t>(nodes_.size()); }
  const sl_node_row* rows() const { return rows_; }
  const std::vector<NodeId>& free_list() const { return free_; }
  const ChildMap& map() const { return map_; }

  std::uint32_t cached(NodeId node) const {
    return rows_[node].device_blocks + rows_[node].host_blocks;
  }  // blocks of its edge in either tier: its first
  std::uint32_t end(NodeId node) const {
    return rows_[node].depth_blocks + rows_[node].edge_blocks;
  }  // blocks of its path
  Key key(NodeId node, std::uint32_t i) const { return cells_.key(nodes_[node].edge[i]); }
  Key last_key(NodeId node) const { return key(node, rows_[node].edge_blocks - 1); }
  BlockId block(NodeId node, std::uint32_t i) const { return cells_.block(nodes_[node].edge[i]); }
  void set_block(NodeId node, std::uint32_t i, BlockId block) {
    cells_.set_block(nodes_[node].edge[i], block);
  }
  std::size_t cells() const { return cells_.used(); }
  void changed(NodeId node) { log_.node_changed(node, nodes_[node].event); }

 private:
  NodeId add(NodeId parent, Key salt);  // an empty node; SL_NONE when all are used
  NodeId add_leaf(NodeId parent, Key salt, std::span<const Key> keys, std::span<const Token> tokens);
  // Returns the new upper node, or SL_NONE when all are used.
  NodeId split(NodeId lower, std::uint32_t blocks);
  std::uint32_t matched(NodeId node, std::span<const Key> keys, std::span<const Token> tokens) const;
  void merge_into_child(NodeId upper);
  void remove(NodeId node);
  void truncate(NodeId node, std::uint32_t blocks);
  void link(NodeId parent, NodeId child);
  void unlink(NodeId child);

  Pool& pool_;
  EventLog& log_;
  std::uint32_t block_tokens_, max_nodes_;
  sl_node_row* rows_;
  HugeVector<Node> nodes_;  // never moves: reserved in full
  std::vector<NodeId> free_;
  CellStore cells_;
  ChildMap map_;
};

// The places of a path from `from` on, top down. Requires: `from` is on the path that ends at `leaf`, or its end.
class Walk {
 public:
  Walk(const Tree& tree, NodeId leaf, std::uint32_t from, std::vector<NodeId>& scratch)
      : tree_(tree), below_(scratch), node(leaf) {
    below_.clear();
    while (tree.row(node).depth_blocks > from) {
      below_.push_back(node);
      node = tree.row(node).parent;
    }
    offset = from - tree.row(node).depth_blocks;
    if (offset == tree.row(node).edge_blocks) descend();
  }
  BlockId block() const {  // on the device
    return offset < tree_.row(node).device_blocks ? tree_.block(node, offset) : SL_NONE;
  }
  BlockId host_block() const {
    return offset >= tree_.row(node).device_blocks && offset < tree_.cached(node) ? tree_.block(node, offset)
                                                                                  : SL_NONE;
  }
  void next() {
    if (++offset == tree_.row(node).edge_blocks) descend();
  }

 private:
  void descend() {
    if (below_.empty()) return;  // past the end
    node = below_.back();
    below_.pop_back();
    offset = 0;
  }
  const Tree& tree_;
  std::vector<NodeId>& below_;

 public:
  NodeId node;
  std::uint32_t offset = 0;  // within the node's edge
};

}  // namespace serveloop::kv
