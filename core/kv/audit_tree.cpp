// The audit's walk over the prompt tree.
#include "kv/audit.hpp"

namespace serveloop::kv {

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
    want(id == kRoot || row.live > 0 || tree_.cached(id) > 0 || children_[id] >= 2,
         "node {} is needed by nobody", id);
    want(row.live > 0 || children_[id] > 0 || row.edge_blocks == tree_.cached(id),
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
  want(tree_.cached(id) <= row.edge_blocks, "node {} counts blocks beyond its edge", id);
  const sl_node_row& above = tree_.row(row.parent);
  want(row.device_blocks == 0 || above.device_blocks == above.edge_blocks,
       "node {} has device blocks below a gap or a host block", id);
  want(row.host_blocks == 0 || tree_.cached(row.parent) == above.edge_blocks,
       "node {} has host blocks below a gap", id);
  edge(id);
}

void Audit::edge(NodeId id) {
  const sl_node_row& row = tree_.row(id);
  std::uint32_t filling = 0;
  BlockId above = SL_NONE;
  if (tree_.cached(id) > 0 && row.parent != kRoot)
    above = tree_.block(row.parent, tree_.row(row.parent).edge_blocks - 1);
  for (std::uint32_t i = 0; i < row.edge_blocks && violation_.empty(); ++i) {
    const BlockId block = tree_.block(id, i);
    if (i >= tree_.cached(id)) {
      want(block == SL_NONE, "node {} names block {} beyond its cached blocks", id, block);
      continue;
    }
    want(block < pool_.total() && !in_tree_[block], "node {} names block {}, unknown or elsewhere too", id,
         block);
    if (!violation_.empty()) return;
    const bool on_device = i < row.device_blocks;
    want(pool_.tier_of(block) == (on_device ? SL_TIER_DEVICE : SL_TIER_HOST),
         "node {} has block {} among those of the other tier", id, block);
    in_tree_[block] = true;
    placed(block, above, id, row.depth_blocks + i);
    filling += on_device && (pool_.row(block).flags & SL_BLOCK_FLAG_FILLING) != 0 ? 1 : 0;
    above = block;
  }
  want(filling == row.filling, "node {} counts {} filling blocks, has {}", id, row.filling, filling);
}

// A block that the tree has at `depth`, below `above`.
void Audit::placed(BlockId block, BlockId above, NodeId node, std::uint32_t depth) {
  const sl_block_row& at = pool_.row(block);
  const Key key = tree_.key(node, depth - tree_.row(node).depth_blocks);
  want(at.node == node && at.depth == depth && at.parent == above && at.key == key,
       "block {}: node {} depth {} parent {}, found at node {} depth {} below {}", block, at.node, at.depth,
       at.parent, node, depth, above);
  want((at.flags & SL_BLOCK_FLAG_INDEXED) != 0 && at.tier == pool_.tier_of(block) && at.key != 0,
       "block {} has wrong flags", block);
  if (above != SL_NONE) {
    cached_children_[above] += at.tier == pool_.row(above).tier ? 1 : 0;
    host_children_[above] += at.tier == SL_TIER_HOST ? 1 : 0;
  }
  const bool is_filling = (at.flags & SL_BLOCK_FLAG_FILLING) != 0;
  want(at.tier == SL_TIER_HOST || is_filling == (pool_.state(block).filling_by != 0),
       "block {}: filling and its step disagree", block);
  want(at.tier == SL_TIER_HOST || !pool_.copying(block), "block {} is in the tree and in transit", block);
}

}  // namespace serveloop::kv
