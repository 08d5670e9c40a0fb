// Device blocks that go to the host: one by one, and those that an eviction answer names.
#include <serveloop/reasons.h>

#include <algorithm>
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::State::list_copy(BlockId from, BlockId to, bool settles) {
  pool.begin_copy(from);
  pool.begin_copy(to);
  pending_copies.push_back({from, to, settles});
  copies.push_back({from, to, pool.tier_of(from), pool.tier_of(to)});
}

BlockId Cache::State::move_out(BlockId block, Slot holder, const Owner& owner) {
  const BlockId host = pool.take(SL_TIER_HOST);
  const sl_block_row& from = pool.row(block);
  sl_block_row& to = pool.row(host);
  const std::uint32_t refs = holder != SL_NONE ? 2 : 1;  // its copy's, and the holder's
  if (pool.indexed(block)) {
    if (from.refs == 0) pool.drop_evictable(block);
    to = from;
    to.tier = SL_TIER_HOST;
    to.cached_children = from.host_children;
    sl_node_row& at = tree.row(to.node);
    const std::uint32_t offset = to.depth - at.depth_blocks;
    assert(offset + 1 == at.device_blocks && from.cached_children == 0);
    hand_children(to.node, offset, to.host_children, host);
    count_child(block, -1u);
    count_child(host, 1);
    tree.set_block(to.node, offset, host);
    --at.device_blocks;
    ++at.host_blocks;
    tree.changed(to.node);
    emit_moved(block, host, owner);
  }
  to.refs = refs;
  to.flags |= SL_BLOCK_FLAG_FILLING;
  pool.state(host).owner = holder;
  pool.strip(block);
  list_copy(block, host, false);
  return host;
}

namespace {

// Demotions that cannot be become drops: victims stand shallowest first. Room in the host goes to those highest in
// their path, and what is below a dropped block is dropped.
void turn_into_drops(Pool& pool, std::span<sl_victim> victims, std::uint32_t answer, Evicted& done) {
  std::uint32_t room = pool.free(SL_TIER_HOST);
  for (sl_victim& victim : victims) {
    const sl_block_row& row = pool.row(victim.block);
    if (row.tier != SL_TIER_DEVICE) continue;
    if (victim.to == SL_TIER_HOST) {
      const bool above_drops = row.parent != SL_NONE && pool.state(row.parent).answer == answer;
      const bool is_filling = pool.state(victim.block).filling_by != 0;
      if (above_drops || is_filling || room == 0) {
        victim.to = SL_TIER_NONE;
        if (!above_drops) victim.reason = is_filling ? SL_REASON_STILL_FILLING : SL_REASON_HOST_FULL;
        ++done.not_demoted;
        done.host_full += !above_drops && !is_filling ? 1 : 0;
      } else {
        --room;
      }
    }
    if (victim.to == SL_TIER_NONE) pool.state(victim.block).answer = answer;
  }
}

}  // namespace

// Leaf first, so that the tiers of every path stay in order; what the answer drops in the host makes room there first.
Evicted Cache::State::apply_tiers(std::span<const sl_victim> victims) {
  sorted.assign(victims.begin(), victims.end());
  std::stable_sort(sorted.begin(), sorted.end(), [this](const sl_victim& a, const sl_victim& b) {
    return pool.row(a.block).depth < pool.row(b.block).depth;
  });
  kept_for.clear();
  for (const sl_victim& victim : sorted)
    if (pool.row(victim.block).flags & SL_BLOCK_FLAG_TRANSIENT)
      kept_for.push_back(pool.row(victim.block).parent);
  Evicted done;
  for (std::size_t i = sorted.size(); i-- > 0;) {
    if (pool.tier_of(sorted[i].block) != SL_TIER_HOST) continue;
    left.push_back(pool.row(sorted[i].block).node);
    emit_evicted(sorted[i].block, sorted[i].reason);
    leave_host(sorted[i].block);
    ++done.host_dropped;
  }
  std::erase_if(sorted, [this](const sl_victim& v) { return pool.tier_of(v.block) == SL_TIER_HOST; });
  if (++answer == 0) ++answer;
  turn_into_drops(pool, sorted, answer, done);
  const std::uint32_t host_left_before = host_left;
  for (std::size_t i = sorted.size(); i-- > 0;) {
    const auto [key, block, to, reason] = sorted[i];
    if (to == SL_TIER_HOST) {
      move_out(block, SL_NONE, {});
      ++done.demoted;
      continue;
    }
    left.push_back(pool.row(block).node);
    ++done.freed;
    if (pool.row(block).host_children > 0) {
      drop_below(block, reason, true);
      continue;
    }
    emit_evicted(block, reason);
    pool.drop_evictable(block);
    unhang(block);
    pool.give_back(block);
  }
  done.host_dropped += host_left - host_left_before;
  for (const BlockId block : kept_for) sweep(block);
  tidy_left();
  lose_copies();
  return done;
}

}  // namespace serveloop::kv
