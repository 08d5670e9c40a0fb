// Eviction: answers checked and applied, the linked-in fallback, and the handover to a new policy.
#include <serveloop/reasons.h>

#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {
std::uint16_t check_one(Pool& pool, const sl_victim& victim, std::uint32_t answer) {
  if (victim.block >= pool.total()) return SL_REASON_UNKNOWN_ID;
  if (!pool.indexed(victim.block) || pool.row(victim.block).key != victim.key) return SL_REASON_STALE_ID;
  if (victim.to != SL_TIER_NONE && victim.to != SL_TIER_HOST) return SL_REASON_BAD_NUMBER;
  if (pool.row(victim.block).refs > 0) return SL_REASON_PINNED;
  BlockState& state = pool.state(victim.block);
  if (state.answer == answer) return SL_REASON_TWICE;
  state.answer = answer;
  state.answer_children = 0;
  return SL_REASON_NONE;
}
}  // namespace

std::uint16_t Cache::check(std::span<const sl_victim> victims, std::uint32_t need, std::uint32_t* bad_row) {
  const auto broke = [&](const sl_victim& victim, std::uint16_t reason) {
    if (bad_row != nullptr) *bad_row = static_cast<std::uint32_t>(&victim - victims.data());
    return reason;
  };
  Pool& pool = state_->pool;
  if (++state_->answer == 0) ++state_->answer;  // 0: no answer yet
  const std::uint32_t answer = state_->answer;
  for (const sl_victim& victim : victims)
    if (const std::uint16_t reason = check_one(pool, victim, answer)) return broke(victim, reason);
  for (const sl_victim& victim : victims) {
    const BlockId parent = pool.row(victim.block).parent;
    if (parent != SL_NONE && pool.state(parent).answer == answer) ++pool.state(parent).answer_children;
  }
  for (const sl_victim& victim : victims)
    if (pool.state(victim.block).answer_children != pool.row(victim.block).cached_children)
      return broke(victim, SL_REASON_CACHED_CHILDREN);
  if (victims.size() < need && pool.evictable() >= need) return SL_REASON_TOO_FEW;
  return SL_REASON_NONE;
}

// In passes, so that a parent may be named before its children.
std::uint32_t Cache::apply(std::span<const sl_victim> victims) {
  State& state = *state_;
  std::vector<NodeId>& nodes = state.scratch_nodes;
  nodes.clear();
  for (const sl_victim& victim : victims) {
    const NodeId node = state.pool.row(victim.block).node;
    if (nodes.empty() || nodes.back() != node) nodes.push_back(node);
    state.emit(SL_BLOCK_GONE, victim.block, {}, victim.reason);
  }
  for (const sl_victim& victim : victims) {
    state.pool.drop_evictable(victim.block);
    state.unhang(victim.block);
  }
  for (const sl_victim& victim : victims) state.pool.give_back(victim.block);
  for (const NodeId node : nodes) state.tree.tidy(node);
  return static_cast<std::uint32_t>(victims.size());
}

std::vector<sl_victim> Cache::fallback_victims(std::uint32_t need) const {
  const Pool& pool = state_->pool;
  std::vector<sl_victim> victims;
  for (BlockId block = pool.oldest(); block != SL_NONE && victims.size() < need;
       block = pool.state(block).newer)
    victims.push_back({pool.row(block).key, block, SL_TIER_NONE, SL_REASON_NONE});
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
  state_->pool.cursor = state_->pool.oldest();
  state_->scan = 0;
}

bool Cache::hand_over(std::uint32_t most) {
  State& state = *state_;
  Pool& pool = state.pool;
  for (; pool.cursor != SL_NONE && most > 0; pool.cursor = pool.state(pool.cursor).newer, --most)
    state.tell(pool.cursor);
  // Then those in use, by id; what became idle meanwhile was told with its event. 16 rows are looked at for
  // each to tell.
  for (std::uint64_t rows = std::uint64_t{most} * 16; state.scan < pool.total() && rows > 0 && most > 0;
       ++state.scan, --rows)
    if (pool.indexed(state.scan) && !state.log.told(state.scan)) {
      state.tell(state.scan);
      --most;
    }
  return pool.cursor != SL_NONE || state.scan < pool.total();
}

std::vector<sl_block_event>& Cache::successor_events() { return state_->log.successor(); }

void Cache::end_handover() {
  state_->pool.cursor = SL_NONE;
  state_->log.follow_end();
}

}  // namespace serveloop::kv
