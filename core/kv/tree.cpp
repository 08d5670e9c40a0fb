#include "kv/tree.hpp"

#include <cassert>
#include <utility>

namespace serveloop::kv {

Tree::Tree(Mapping& mapping, Pool& pool, EventLog& log, std::uint32_t block_tokens, std::uint32_t max_nodes)
    : pool_(pool),
      log_(log),
      block_tokens_(block_tokens),
      max_nodes_(max_nodes),
      rows_(mapping.lay_out<sl_node_row>(max_nodes)),
      cells_(block_tokens, pool.total()),
      map_(1024) {
  nodes_.reserve(max_nodes);
  nodes_.emplace_back();
  rows_[kRoot].parent = SL_NONE;
}

NodeId Tree::hang(NodeId node, Key salt, std::span<const Key> keys, std::span<const Token> tokens) {
  while (!keys.empty()) {
    const NodeId child = map_.find(node, keys[0]);
    if (child == SL_NONE) {
      const NodeId leaf = add_leaf(node, salt, keys, tokens);
      return leaf != SL_NONE ? leaf : node;
    }
    if (nodes_[child].salt != salt) return node;
    const std::uint32_t blocks = matched(child, keys, tokens);
    if (blocks == 0) return node;
    NodeId below = child;
    if (blocks < rows_[child].edge_blocks) below = split(child, blocks);
    if (below == SL_NONE) return node;
    node = below;
    keys = keys.subspan(blocks);
    tokens = tokens.subspan(std::size_t{blocks} * block_tokens_);
  }
  return node;
}

std::uint32_t Tree::matched(NodeId node, std::span<const Key> keys, std::span<const Token> tokens) const {
  const std::uint32_t most =
      std::min<std::uint32_t>(rows_[node].edge_blocks, static_cast<std::uint32_t>(keys.size()));
  std::uint32_t i = 0;
  while (i < most && key(node, i) == keys[i] &&
         cells_.tokens_equal(nodes_[node].edge[i], tokens.data() + std::size_t{i} * block_tokens_))
    ++i;
  return i;
}

NodeId Tree::add(NodeId parent, Key salt) {
  NodeId id = SL_NONE;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else if (nodes_.size() < max_nodes_) {
    id = high_water();
    nodes_.emplace_back();
  } else {
    return SL_NONE;
  }
  nodes_[id].salt = salt;
  rows_[id] = {};
  rows_[id].parent = parent;
  rows_[id].depth_blocks = end(parent);
  return id;
}

NodeId Tree::add_leaf(NodeId parent, Key salt, std::span<const Key> keys, std::span<const Token> tokens) {
  const NodeId leaf = add(parent, salt);
  if (leaf == SL_NONE) return SL_NONE;
  nodes_[leaf].edge.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    append(leaf, keys[i], tokens.subspan(i * block_tokens_, block_tokens_));
  link(parent, leaf);
  map_.insert(parent, keys[0], leaf);
  return leaf;
}

NodeId Tree::split(NodeId lower, std::uint32_t blocks) {
  sl_node_row& below = rows_[lower];
  const NodeId parent = below.parent;
  const NodeId upper = add(parent, nodes_[lower].salt);
  if (upper == SL_NONE) return SL_NONE;
  sl_node_row& above = rows_[upper];
  map_.replace(parent, key(lower, 0), upper);
  std::vector<CellId>& edge = nodes_[lower].edge;
  nodes_[upper].edge.assign(edge.begin(), edge.begin() + blocks);
  edge.erase(edge.begin(), edge.begin() + blocks);
  map_.insert(upper, key(lower, 0), lower);
  unlink(lower);
  link(parent, upper);
  link(upper, lower);

  above.edge_blocks = blocks;
  above.device_blocks = std::min(blocks, below.device_blocks);
  above.host_blocks = std::min(blocks - above.device_blocks, below.host_blocks);
  for (std::uint32_t i = 0; i < cached(upper); ++i) {
    sl_block_row& row = pool_.row(block(upper, i));
    row.node = upper;
    if (i < above.device_blocks && (row.flags & SL_BLOCK_FLAG_FILLING)) ++above.filling;
  }
  below.parent = upper;
  below.depth_blocks += blocks;
  below.edge_blocks -= blocks;
  below.device_blocks -= above.device_blocks;
  below.host_blocks -= above.host_blocks;
  below.filling -= above.filling;

  nodes_[upper].plan = nodes_[lower].plan;
  nodes_[upper].planned = std::min(blocks, nodes_[lower].planned);
  nodes_[lower].planned -= nodes_[upper].planned;
  log_.node_split(lower, upper, blocks);
  tidy(lower);  // the upper one may have taken all that it was kept for
  return upper;
}

void Tree::tidy(NodeId node) {
  while (node != kRoot && in_use(node) && rows_[node].live == 0) {
    sl_node_row& row = rows_[node];
    const NodeId parent = row.parent;
    if (nodes_[node].children == 0 && cached(node) == 0) {
      remove(node);
      node = parent;
      continue;
    }
    if (nodes_[node].children == 0 && cached(node) < row.edge_blocks) {
      row.edge_blocks = cached(node);
      truncate(node, row.edge_blocks);
      changed(node);
    } else if (nodes_[node].children == 1 && cached(node) == 0) {
      merge_into_child(node);
    }
    return;
  }
}

// The upper node branches no more and holds nothing: its blocks become the first of the one child's edge.
void Tree::merge_into_child(NodeId upper) {
  const NodeId lower = nodes_[upper].first_child;
  const NodeId parent = rows_[upper].parent;
  const std::uint32_t blocks = rows_[upper].edge_blocks;
  assert(cached(lower) == 0);
  map_.erase(upper, key(lower, 0));
  map_.replace(parent, key(upper, 0), lower);
  std::vector<CellId>& edge = nodes_[lower].edge;
  edge.insert(edge.begin(), nodes_[upper].edge.begin(), nodes_[upper].edge.end());
  unlink(lower);
  unlink(upper);
  link(parent, lower);
  rows_[lower].parent = parent;
  rows_[lower].depth_blocks -= blocks;
  rows_[lower].edge_blocks += blocks;
  if (nodes_[lower].plan == nodes_[upper].plan && nodes_[lower].planned > 0) {
    nodes_[lower].planned += blocks;
  } else {
    nodes_[lower].plan = nodes_[upper].plan;
    nodes_[lower].planned = nodes_[upper].planned;
  }
  nodes_[upper] = Node{};
  rows_[upper] = {};
  rows_[upper].parent = SL_NONE;
  free_.push_back(upper);
  log_.node_gone(upper);
  changed(lower);
}

void Tree::remove(NodeId node) {
  map_.erase(rows_[node].parent, key(node, 0));
  unlink(node);
  truncate(node, 0);
  nodes_[node] = Node{};
  rows_[node] = {};
  rows_[node].parent = SL_NONE;
  free_.push_back(node);
  log_.node_gone(node);
}

void Tree::truncate(NodeId node, std::uint32_t blocks) {
  std::vector<CellId>& edge = nodes_[node].edge;
  for (std::size_t i = edge.size(); i-- > blocks;) cells_.remove(edge[i]);
  edge.resize(blocks);
}

void Tree::link(NodeId parent, NodeId child) {
  Node& above = nodes_[parent];
  nodes_[child].next_sibling = above.first_child;
  nodes_[child].previous_sibling = SL_NONE;
  if (above.first_child != SL_NONE) nodes_[above.first_child].previous_sibling = child;
  above.first_child = child;
  ++above.children;
}

// Takes the child out of its parent's list; the parent is the one in its row.
void Tree::unlink(NodeId child) {
  Node& node = nodes_[child];
  Node& above = nodes_[rows_[child].parent];
  (node.previous_sibling == SL_NONE ? above.first_child : nodes_[node.previous_sibling].next_sibling) =
      node.next_sibling;
  if (node.next_sibling != SL_NONE) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
  --above.children;
}

}  // namespace serveloop::kv
