// Eviction: answers checked and applied, the linked-in fallback, and the handover to a new policy.
#include <serveloop/reasons.h>

#include <cassert>
#include <unordered_map>
#include <unordered_set>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {
std::uint16_t check_one(Pool& pool, const sl_victim& victim, std::uint32_t answer) {
  if (victim.block >= pool.total()) return SL_REASON_UNKNOWN_ID;
  if (!pool.indexed(victim.block) || pool.row(victim.block).key != victim.key) return SL_REASON_STALE_ID;
  const bool may_demote = pool.tier_of(victim.block) == SL_TIER_DEVICE;
  if (victim.to != SL_TIER_NONE && !(victim.to == SL_TIER_HOST && may_demote)) return SL_REASON_BAD_NUMBER;
  if (pool.row(victim.block).refs > 0) return SL_REASON_PINNED;
  BlockState& state = pool.state(victim.block);
  if (state.answer == answer) return SL_REASON_TWICE;
  state.answer = answer;
  state.answer_children = 0;
  return SL_REASON_NONE;
}
}  // namespace

std::uint16_t Cache::check(std::span<const sl_victim> victims, std::uint32_t need, std::uint32_t host_need,
                           std::uint32_t* bad_row) {
  const auto broke = [&](const sl_victim& victim, std::uint16_t reason) {
    if (bad_row != nullptr) *bad_row = static_cast<std::uint32_t>(&victim - victims.data());
    return reason;
  };
  Pool& pool = state_->pool;
  if (++state_->answer == 0) ++state_->answer;  // 0: no answer yet
  const std::uint32_t answer = state_->answer;
  for (const sl_victim& victim : victims)
    if (const std::uint16_t reason = check_one(pool, victim, answer)) return broke(victim, reason);
  std::uint32_t on_device = 0;
  for (const sl_victim& victim : victims) {
    const sl_block_row& row = pool.row(victim.block);
    on_device += row.tier == SL_TIER_DEVICE ? 1 : 0;
    if (row.parent != SL_NONE && pool.row(row.parent).tier == row.tier &&
        pool.state(row.parent).answer == answer)
      ++pool.state(row.parent).answer_children;
  }
  for (const sl_victim& victim : victims)
    if (pool.state(victim.block).answer_children != pool.row(victim.block).cached_children)
      return broke(victim, SL_REASON_CACHED_CHILDREN);
  if (on_device < need && pool.evictable(SL_TIER_DEVICE) >= need) return SL_REASON_TOO_FEW;
  if (victims.size() - on_device < host_need && fallback_victims(0, host_need).size() == host_need)
    return SL_REASON_TOO_FEW;
  return SL_REASON_NONE;
}

// In passes, so that a parent may be named before its children.
Evicted Cache::apply(std::span<const sl_victim> victims) {
  State& state = *state_;
  if (state.options.host_blocks > 0) return state.apply_tiers(victims);
  std::vector<NodeId>& nodes = state.scratch_nodes;
  nodes.clear();
  for (const sl_victim& victim : victims) {
    const NodeId node = state.pool.row(victim.block).node;
    if (nodes.empty() || nodes.back() != node) nodes.push_back(node);
    state.emit_evicted(victim.block, victim.reason);
  }
  for (const sl_victim& victim : victims) {
    state.pool.drop_evictable(victim.block);
    state.unhang(victim.block);
  }
  for (const sl_victim& victim : victims) state.pool.give_back(victim.block);
  for (const NodeId node : nodes) state.tree.tidy(node);
  return {static_cast<std::uint32_t>(victims.size()), 0, 0, 0};
}

std::vector<sl_victim> Cache::fallback_victims(std::uint32_t need, std::uint32_t host_need) const {
  const Pool& pool = state_->pool;
  std::vector<sl_victim> victims;
  const auto name = [&](BlockId block) {
    victims.push_back({pool.row(block).key, block, SL_TIER_NONE, SL_REASON_NONE});
  };
  for (BlockId block = pool.oldest(SL_TIER_DEVICE); block != SL_NONE && victims.size() < need;
       block = pool.state(block).newer)
    name(block);
  // In the host a parent may have been idle for longer than its child: it follows the last of its children.
  const std::size_t most = victims.size() + host_need;
  std::unordered_map<BlockId, std::uint32_t> children;  // named
  std::unordered_set<BlockId> passed;
  const auto all_below = [&](BlockId block) {
    const std::uint32_t has = pool.row(block).cached_children;
    return has == 0 || (children.contains(block) && children.at(block) == has);
  };
  for (BlockId block = pool.oldest(SL_TIER_HOST); block != SL_NONE && victims.size() < most;
       block = pool.state(block).newer) {
    passed.insert(block);
    for (BlockId at = block; victims.size() < most && passed.contains(at) && all_below(at);) {
      name(at);
      at = pool.row(at).parent;
      if (at != SL_NONE) ++children[at];
    }
  }
  return victims;
}

void Cache::State::tell(BlockId block) {
  if (log.told(block)) return;
  sl_block_event event;
  describe(event, SL_BLOCK_INSERTED, block, {});
  log.tell(event);
  if (pool.row(block).refs > 0) return;
  event.kind = SL_BLOCK_IDLE;
  event.flags = SL_EVENT_HANDOVER;
  log.successor().push_back(event);
}

void Cache::begin_handover() {
  state_->log.follow_begin();
  for (const std::uint16_t tier : kTiers) state_->pool.cursor(tier) = state_->pool.oldest(tier);
  state_->scan = 0;
}

bool Cache::hand_over(std::uint32_t most) {
  State& state = *state_;
  Pool& pool = state.pool;
  for (const std::uint16_t tier : kTiers)
    for (BlockId& at = pool.cursor(tier); at != SL_NONE && most > 0; at = pool.state(at).newer, --most)
      state.tell(at);
  // Then those in use, by id; what became idle meanwhile was told with its event. 16 rows are looked at for
  // each to tell.
  for (std::uint64_t rows = std::uint64_t{most} * 16; state.scan < pool.total() && rows > 0 && most > 0;
       ++state.scan, --rows)
    if (pool.indexed(state.scan) && !state.log.told(state.scan)) {
      state.tell(state.scan);
      --most;
    }
  return pool.cursor(SL_TIER_DEVICE) != SL_NONE || pool.cursor(SL_TIER_HOST) != SL_NONE ||
         state.scan < pool.total();
}

std::vector<sl_block_event>& Cache::successor_events() { return state_->log.successor(); }

void Cache::end_handover() {
  for (const std::uint16_t tier : kTiers) state_->pool.cursor(tier) = SL_NONE;
  state_->log.follow_end();
}

}  // namespace serveloop::kv
