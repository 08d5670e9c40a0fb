// The proof that no block is lost: every invariant, checked against a picture drawn from the tables and the
// tree alone.
#include <fmt/format.h>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {

class Audit {
 public:
  Audit(const Cache::State& state) : state_(state), pool_(state.pool), tree_(state.tree) {}
  std::string run(bool idle);

 private:
  template <class... Args>
  void want(bool holds, fmt::format_string<Args...> text, Args&&... args) {
    if (!holds && violation_.empty()) violation_ = fmt::format(text, std::forward<Args>(args)...);
  }
  void nodes();
  void node(NodeId id);
  void edge(NodeId id);
  void tables(bool idle);
  void table(Slot slot);
  void blocks();
  void lists();

  const Cache::State& state_;
  const Pool& pool_;
  const Tree& tree_;
  std::string violation_;
  std::vector<std::uint32_t> live_, waiting_, children_;  // per node
  std::vector<std::uint32_t> refs_, cached_children_;     // per block
  std::vector<bool> in_tree_;
  std::size_t used_nodes_ = 0, cells_ = 0;
};

std::string Audit::run(bool idle) {
  live_.assign(tree_.high_water(), 0);
  waiting_ = children_ = live_;
  refs_.assign(pool_.total(), 0);
  cached_children_ = refs_;
  in_tree_.assign(pool_.total(), false);
  nodes();
  if (violation_.empty()) tables(idle);
  if (violation_.empty()) blocks();
  if (violation_.empty()) lists();
  return violation_;
}

void Audit::nodes() {
  for (NodeId id = 0; id < tree_.high_water(); ++id) {
    if (!tree_.in_use(id)) continue;
    ++used_nodes_;
    if (id != kRoot) node(id);
    if (!violation_.empty()) return;
  }
  want(used_nodes_ + tree_.free_list().size() == tree_.high_water(), "nodes: {} used and {} free of {}",
       used_nodes_, tree_.free_list().size(), tree_.high_water());
  want(cells_ == tree_.cells(), "nodes keep {} cells, {} are in use", cells_, tree_.cells());
  want(tree_.map().size() == used_nodes_ - 1, "child map has {} entries for {} nodes", tree_.map().size(),
       used_nodes_);
  for (const NodeId id : tree_.free_list()) want(!tree_.in_use(id), "node {} is free and in use", id);
  for (NodeId id = 0; id < tree_.high_water(); ++id) {
    if (!tree_.in_use(id)) continue;
    std::uint32_t listed = 0;
    for (NodeId child = tree_.node(id).first_child; child != SL_NONE;
         child = tree_.node(child).next_sibling, ++listed)
      want(listed <= children_[id] && tree_.row(child).parent == id, "node {} lists child {} of another", id,
           child);
    want(listed == children_[id] && tree_.node(id).children == children_[id],
         "node {} lists {} children and counts {}, has {}", id, listed, tree_.node(id).children,
         children_[id]);
    const sl_node_row& row = tree_.row(id);
    want(id == kRoot || row.live > 0 || row.device_blocks > 0 || children_[id] >= 2,
         "node {} is needed by nobody", id);
    want(row.live > 0 || children_[id] > 0 || row.edge_blocks == row.device_blocks,
         "node {} has a tail that nobody needs", id);
  }
}

void Audit::node(NodeId id) {
  const sl_node_row& row = tree_.row(id);
  want(row.parent < tree_.high_water() && tree_.in_use(row.parent), "node {} hangs below {}, which is free",
       id, row.parent);
  want(row.edge_blocks > 0, "node {} has an empty edge", id);
  if (!violation_.empty()) return;
  cells_ += row.edge_blocks;
  ++children_[row.parent];
  want(row.depth_blocks == tree_.end(row.parent), "node {} starts at {}, its parent ends at {}", id,
       row.depth_blocks, tree_.end(row.parent));
  want(tree_.map().find(row.parent, tree_.key(id, 0)) == id, "the child map does not lead to node {}", id);
  want(row.parent == kRoot || tree_.node(id).salt == tree_.node(row.parent).salt,
       "node {} has another salt than above", id);
  want(tree_.node(id).edge.size() == row.edge_blocks, "node {} keeps other than its edge", id);
  want(row.device_blocks <= row.edge_blocks && row.host_blocks == 0, "node {} counts blocks beyond its edge",
       id);
  const sl_node_row& above = tree_.row(row.parent);
  want(row.device_blocks == 0 || above.device_blocks == above.edge_blocks,
       "node {} has device blocks below a gap", id);
  edge(id);
}

void Audit::edge(NodeId id) {
  const sl_node_row& row = tree_.row(id);
  std::uint32_t filling = 0;
  BlockId above = SL_NONE;
  if (row.device_blocks > 0 && row.parent != kRoot)
    above = tree_.block(row.parent, tree_.row(row.parent).edge_blocks - 1);
  for (std::uint32_t i = 0; i < row.edge_blocks && violation_.empty(); ++i) {
    const BlockId block = tree_.block(id, i);
    if (i >= row.device_blocks) {
      want(block == SL_NONE, "node {} names block {} beyond its device blocks", id, block);
      continue;
    }
    want(block < pool_.total() && !in_tree_[block], "node {} names block {}, unknown or elsewhere too", id,
         block);
    if (!violation_.empty()) return;
    in_tree_[block] = true;
    const sl_block_row& at = pool_.row(block);
    want(
        at.node == id && at.depth == row.depth_blocks + i && at.parent == above && at.key == tree_.key(id, i),
        "block {}: node {} depth {} parent {}, found at node {} depth {} below {}", block, at.node, at.depth,
        at.parent, id, row.depth_blocks + i, above);
    want((at.flags & SL_BLOCK_FLAG_INDEXED) != 0 && at.tier == SL_TIER_DEVICE && at.key != 0,
         "block {} has wrong flags", block);
    if (above != SL_NONE) ++cached_children_[above];
    const bool is_filling = (at.flags & SL_BLOCK_FLAG_FILLING) != 0;
    want(is_filling == (pool_.state(block).filling_by != 0), "block {}: filling and its step disagree",
         block);
    filling += is_filling ? 1 : 0;
    above = block;
  }
  want(filling == row.filling, "node {} counts {} filling blocks, has {}", id, row.filling, filling);
}

void Audit::tables(bool idle) {
  for (Slot slot = 0; slot < state_.sequences.size() && violation_.empty(); ++slot) {
    const Sequence& sequence = state_.sequences[slot];
    want(sequence.bound || (sequence.table.empty() && !sequence.placed),
         "slot {} is not bound and holds something", slot);
    want(!idle || sequence.table.empty(), "slot {} holds {} blocks at idle", slot, sequence.table.size());
    if (!sequence.bound) continue;
    want(sequence.node < tree_.high_water() && tree_.in_use(sequence.node), "slot {} names a free node",
         slot);
    want(sequence.indexed <= sequence.table.size(), "slot {} has more indexed blocks than blocks", slot);
    if (violation_.empty()) table(slot);
  }
  for (NodeId id = 0; id < tree_.high_water(); ++id) {
    if (!tree_.in_use(id)) continue;
    want(live_[id] == tree_.row(id).live && waiting_[id] == tree_.row(id).waiting,
         "node {} counts {} live and {} waiting, has {} and {}", id, tree_.row(id).live,
         tree_.row(id).waiting, live_[id], waiting_[id]);
  }
}

void Audit::table(Slot slot) {
  const Sequence& sequence = state_.sequences[slot];
  if (sequence.placed) {
    ++live_[sequence.node];
    waiting_[sequence.node] += sequence.waiting ? 1 : 0;
  }
  want(sequence.node == kRoot || tree_.node(sequence.node).salt == sequence.salt,
       "slot {} is under another salt", slot);
  want(sequence.tail == (sequence.node == kRoot ? sequence.salt : tree_.last_key(sequence.node)),
       "slot {} goes on from another key than its path's last", slot);
  want(sequence.indexed <= tree_.end(sequence.node), "slot {} has more indexed blocks than its path", slot);
  NodeId node = sequence.node;
  for (std::uint32_t i = sequence.held(); i-- > 0 && violation_.empty();) {
    const BlockId block = sequence.table[i];
    want(block < pool_.total(), "slot {} names block {}", slot, block);
    if (!violation_.empty()) return;
    ++refs_[block];
    if (i >= sequence.indexed) {
      want(!in_tree_[block], "slot {} has block {} as private, the tree too", slot, block);
      continue;
    }
    while (tree_.row(node).depth_blocks > i) node = tree_.row(node).parent;
    const std::uint32_t offset = i - tree_.row(node).depth_blocks;
    want(offset < tree_.row(node).device_blocks && tree_.block(node, offset) == block,
         "slot {} has block {} at {}, its path another", slot, block, i);
  }
}

void Audit::blocks() {
  for (BlockId block = 0; block < pool_.total() && violation_.empty(); ++block) {
    const sl_block_row& row = pool_.row(block);
    want(row.refs == refs_[block], "block {} counts {} refs, {} tables hold it", block, row.refs,
         refs_[block]);
    want(row.cached_children == cached_children_[block], "block {} counts {} cached children, has {}", block,
         row.cached_children, cached_children_[block]);
    if (in_tree_[block]) {
      want(row.parent == SL_NONE || pool_.row(row.parent).refs >= row.refs,
           "block {} is pinned, the one above it less", block);
      continue;
    }
    want(row.refs <= 1, "private block {} is in {} tables", block, row.refs);
    want(pool_.is_free(block) == (row.refs == 0), "block {} is lost: no table holds it, nor the free list",
         block);
    want(row.key == 0 && row.flags == 0 && row.node == SL_NONE && row.parent == SL_NONE &&
             pool_.state(block).filling_by == 0,
         "block {} is not in the tree, its row says so", block);
  }
}

void Audit::lists() {
  std::vector<bool> listed(pool_.total(), false);
  for (const BlockId block : pool_.free_list()) {
    want(!listed[block] && pool_.is_free(block), "block {} is in the free list twice or not free", block);
    listed[block] = true;
  }
  std::uint32_t evictable = 0;
  BlockId before = SL_NONE;
  for (BlockId block = pool_.oldest(); block != SL_NONE && violation_.empty();
       block = pool_.state(block).newer) {
    want(
        !listed[block] && in_tree_[block] && pool_.row(block).refs == 0 && pool_.state(block).older == before,
        "block {} is in the evictable list wrongly", block);
    listed[block] = true;
    ++evictable;
    before = block;
    const BlockId parent = pool_.row(block).parent;
    want(parent == SL_NONE || pool_.row(parent).refs > 0 || !listed[parent],
         "block {} stands after its parent {}", block, parent);
  }
  want(evictable == pool_.evictable(), "{} blocks in the evictable list, counted {}", evictable,
       pool_.evictable());
  for (BlockId block = 0; block < pool_.total(); ++block)
    want(listed[block] || refs_[block] > 0, "block {} is in no list and no table", block);
}

}  // namespace

std::string Cache::audit(bool idle) const { return Audit(*state_).run(idle); }

}  // namespace serveloop::kv
