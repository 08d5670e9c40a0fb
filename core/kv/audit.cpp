// The audit of tables, host copies, pending copies, blocks and lists.
#include "kv/audit.hpp"

namespace serveloop::kv {

std::string Audit::run(bool idle) {
  live_.assign(tree_.high_water(), 0);
  waiting_ = children_ = live_;
  refs_.assign(pool_.total(), 0);
  cached_children_ = host_children_ = refs_;
  owners_.assign(pool_.total(), SL_NONE);
  in_tree_.assign(pool_.total(), false);
  pending_ = written_ = in_tree_;
  nodes();
  want(!idle || state_.pending_copies.empty(), "{} copies are pending at idle", state_.pending_copies.size());
  if (violation_.empty()) copies();
  if (violation_.empty()) tables(idle);
  if (violation_.empty()) blocks();
  for (const std::uint16_t tier : kTiers)
    if (violation_.empty()) lists(tier);
  return violation_;
}

void Audit::copies() {
  for (const PendingCopy& copy : state_.pending_copies) {
    for (const BlockId block : {copy.from, copy.to}) {
      want(block < pool_.total() && !pending_[block], "block {} is in two copies", block);
      if (!violation_.empty()) return;
      pending_[block] = true;
      refs_[block] += pool_.tier_of(block) == SL_TIER_HOST ? 1 : 0;
    }
    want(pool_.tier_of(copy.from) != pool_.tier_of(copy.to), "a copy goes from {} to {} in one tier",
         copy.from, copy.to);
    written_[copy.to] = pool_.tier_of(copy.to) == SL_TIER_HOST;
  }
}

void Audit::tables(bool idle) {
  for (Slot slot = 0; slot < state_.sequences.size() && violation_.empty(); ++slot) {
    const Sequence& sequence = state_.sequences[slot];
    want(sequence.bound || (sequence.table.empty() && sequence.host.empty() && !sequence.placed),
         "slot {} is not bound and holds something", slot);
    want(!idle || (sequence.table.empty() && sequence.host.empty()), "slot {} holds {} blocks at idle", slot,
         sequence.table.size() + sequence.host.size());
    if (!sequence.bound) continue;
    want(sequence.node < tree_.high_water() && tree_.in_use(sequence.node), "slot {} names a free node",
         slot);
    want(sequence.indexed + sequence.arriving <= sequence.table.size(),
         "slot {} has more indexed and arriving blocks than blocks", slot);
    if (violation_.empty()) table(slot);
    if (violation_.empty()) host_copy(slot);
  }
  for (NodeId id = 0; id < tree_.high_water(); ++id) {
    if (!tree_.in_use(id)) continue;
    want(live_[id] == tree_.row(id).live && waiting_[id] == tree_.row(id).waiting,
         "node {} counts {} live and {} waiting, has {} and {}", id, tree_.row(id).live,
         tree_.row(id).waiting, live_[id], waiting_[id]);
  }
}

// The block that the tree has there in either tier, or SL_NONE.
BlockId Audit::on_path(const Sequence& sequence, std::uint32_t depth) const {
  NodeId node = sequence.node;
  if (depth >= tree_.end(node)) return SL_NONE;
  while (tree_.row(node).depth_blocks > depth) node = tree_.row(node).parent;
  const std::uint32_t offset = depth - tree_.row(node).depth_blocks;
  return offset < tree_.cached(node) ? tree_.block(node, offset) : SL_NONE;
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
  for (std::uint32_t i = 0; i < sequence.held() && violation_.empty(); ++i) {
    const BlockId block = sequence.table[i];
    want(block < pool_.total(SL_TIER_DEVICE), "slot {} names block {}", slot, block);
    if (!violation_.empty()) return;
    ++refs_[block];
    const bool is_arriving = i >= sequence.held() - sequence.arriving;
    want(pending_[block] == is_arriving, "slot {} has block {} at {} of {}, of which {} arrive", slot, block,
         i, sequence.held(), sequence.arriving);
    if (is_arriving) owners_[block] = slot;
    want(i < sequence.indexed ? on_path(sequence, i) == block : !in_tree_[block],
         "slot {} has block {} at {}, its path another, or the tree has it too", slot, block, i);
  }
}

void Audit::host_copy(Slot slot) {
  const Sequence& sequence = state_.sequences[slot];
  std::uint32_t outgoing = 0, gone = 0;
  for (std::uint32_t i = 0; i < sequence.host.size() && violation_.empty(); ++i) {
    const BlockId block = sequence.host[i];
    gone += block == SL_NONE ? 1 : 0;
    if (block == SL_NONE) continue;
    want(block < pool_.total() && pool_.tier_of(block) == SL_TIER_HOST && owners_[block] == SL_NONE,
         "slot {} has block {} in its host copy, which another holds or is none", slot, block);
    if (!violation_.empty()) return;
    ++refs_[block];
    owners_[block] = slot;
    outgoing += written_[block] ? 1 : 0;
    want(!in_tree_[block] || on_path(sequence, sequence.host_from + i) == block,
         "slot {} holds host block {} at {}, its path another", slot, block, sequence.host_from + i);
  }
  want(outgoing == sequence.outgoing, "slot {} waits for {} copies to the host, {} are pending", slot,
       sequence.outgoing, outgoing);
  want(gone == sequence.gone, "slot {} counts {} blocks of its host copy as gone, {} are", slot,
       sequence.gone, gone);
}

void Audit::blocks() {
  for (BlockId block = 0; block < pool_.total() && violation_.empty(); ++block) {
    const sl_block_row& row = pool_.row(block);
    const bool on_device = pool_.tier_of(block) == SL_TIER_DEVICE;
    want(row.refs == refs_[block], "block {} counts {} refs, {} hold it", block, row.refs, refs_[block]);
    want(row.cached_children == cached_children_[block] && row.host_children == host_children_[block],
         "block {} counts {} cached and {} host children, has {} and {}", block, row.cached_children,
         row.host_children, cached_children_[block], host_children_[block]);
    want(pool_.copying(block) == pending_[block], "block {}: its row and the copies disagree", block);
    want(pool_.state(block).owner == owners_[block], "block {} is of slot {}, its state says {}", block,
         owners_[block], pool_.state(block).owner);
    want(on_device || !written_[block] || (row.flags & SL_BLOCK_FLAG_FILLING) != 0 ||
             (!in_tree_[block] && owners_[block] == SL_NONE),
         "block {} does not say that a copy writes it", block);
    want(on_device || written_[block] || (row.flags & SL_BLOCK_FLAG_FILLING) == 0,
         "block {} says that a copy writes it", block);
    want(
        !(row.flags & SL_BLOCK_FLAG_TRANSIENT) || row.refs > 0 || row.cached_children + row.host_children > 0,
        "block {} is transient and kept for nobody", block);
    if (!in_tree_[block])
      outside(block);
    else
      want(!on_device || row.parent == SL_NONE || pool_.row(row.parent).refs >= row.refs,
           "block {} is pinned, the one above it less", block);
  }
}

// Free, private, leaving, arriving or an orphan.
void Audit::outside(BlockId block) {
  const sl_block_row& row = pool_.row(block);
  want(pool_.tier_of(block) == SL_TIER_HOST || row.refs <= 1, "private block {} is in {} tables", block,
       row.refs);
  want(pool_.is_free(block) == (row.refs == 0 && !pending_[block]),
       "block {} is lost: no table holds it, nor the free list", block);
  const int filling = pool_.tier_of(block) == SL_TIER_HOST ? SL_BLOCK_FLAG_FILLING : 0;
  want(row.key == 0 && (row.flags & ~(SL_BLOCK_FLAG_COPYING | filling)) == 0 && row.node == SL_NONE &&
           row.parent == SL_NONE && pool_.state(block).filling_by == 0,
       "block {} is not in the tree, its row says so", block);
}

void Audit::lists(std::uint16_t tier) {
  std::vector<bool> listed(pool_.total(), false);
  for (const BlockId block : pool_.free_list(tier)) {
    want(!listed[block] && pool_.is_free(block) && pool_.tier_of(block) == tier,
         "block {} is in the free list twice or not free", block);
    listed[block] = true;
  }
  std::uint32_t evictable = 0, pending = 0;
  BlockId before = SL_NONE;
  for (BlockId block = pool_.oldest(tier); block != SL_NONE && violation_.empty();
       block = pool_.state(block).newer) {
    want(!listed[block] && in_tree_[block] && pool_.tier_of(block) == tier && pool_.row(block).refs == 0 &&
             pool_.state(block).older == before,
         "block {} is in the evictable list wrongly", block);
    listed[block] = true;
    ++evictable;
    before = block;
    const BlockId parent = pool_.row(block).parent;
    want(tier == SL_TIER_HOST || parent == SL_NONE || pool_.row(parent).refs > 0 || !listed[parent],
         "block {} stands after its parent {}", block, parent);
  }
  want(evictable == pool_.evictable(tier), "{} blocks in the evictable list, counted {}", evictable,
       pool_.evictable(tier));
  for (BlockId block = 0; block < pool_.total(); ++block) {
    if (pool_.tier_of(block) != tier) continue;
    want(listed[block] || refs_[block] > 0 || pending_[block], "block {} is in no list and no table", block);
    pending += pending_[block] ? 1 : 0;
  }
  want(pending == pool_.in_transit(tier), "{} blocks of tier {} in transit, counted {}", pending, tier,
       pool_.in_transit(tier));
}

std::string Cache::audit(bool idle) const { return Audit(*state_).run(idle); }

}  // namespace serveloop::kv
