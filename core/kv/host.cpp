// One sequence and host memory: its blocks go there when it yields by swap, and come back.
#include <serveloop/reasons.h>

#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

std::pair<std::uint32_t, std::uint32_t> Cache::State::movable(const Sequence& sequence,
                                                              std::uint32_t blocks) const {
  std::uint32_t end = std::min(blocks, sequence.held());
  for (std::uint32_t i = 0; i < std::min(end, sequence.indexed); ++i)
    if (pool.row(sequence.table[i]).flags & SL_BLOCK_FLAG_FILLING) end = i;
  std::uint32_t from = sequence.held();  // from here on nobody else needs the table's blocks
  for (; from > 0; --from) {
    const sl_block_row& row = pool.row(sequence.table[from - 1]);
    if (row.refs > 1 || row.cached_children > (from < sequence.indexed ? 1u : 0u)) break;
  }
  return {std::min(from, end), end};
}

std::uint32_t Cache::swappable(Slot slot, std::uint32_t blocks) const {
  const Sequence& sequence = state_->sequences[slot];
  if (!sequence.host.empty() || sequence.arriving > 0) return 0;
  const auto [from, end] = state_->movable(sequence, blocks);
  return end - from;
}

std::uint32_t Cache::swap_out(Slot slot, std::uint32_t blocks, std::uint64_t now_ns) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  assert(sequence.host.empty() && sequence.arriving == 0);
  const auto [from, end] = state.movable(sequence, blocks);
  const std::uint32_t moves = end - from;
  if (moves == 0 || moves > state.pool.free(SL_TIER_HOST)) return 0;
  state.now_ns = now_ns;
  if (end < sequence.held()) {  // nothing on the device may stand below what moves
    const BlockId behind = sequence.table[end];
    state.release(sequence, end);
    if (state.pool.indexed(behind)) state.drop_below(behind, SL_REASON_NONE);
  }
  sequence.host_from = from;
  sequence.host.resize(moves);
  sequence.outgoing = moves;
  for (std::uint32_t i = end; i-- > from;)  // leaf first, as blocks become idle
    sequence.host[i - from] = state.move_out(sequence.table[i], slot, sequence.owner);
  sequence.table.resize(from);
  sequence.indexed = std::min(sequence.indexed, from);
  if (sequence.uncounted >= from) sequence.uncounted = SL_NONE;
  state.release(sequence, 0);
  state.lose_copies();
  return moves;
}

BringIn Cache::plan_bring_in(Slot slot, std::uint32_t limit_blocks) const {
  State& state = *state_;
  const Sequence& sequence = state.sequences[slot];
  BringIn plan;
  std::uint32_t at = sequence.held();
  const std::uint32_t path_end = std::min(limit_blocks, state.tree.end(sequence.node));
  if (sequence.indexed == at && at < path_end) {
    Walk walk(state.tree, sequence.node, at, state.scratch);
    for (; at < path_end && !plan.pending; walk.next()) {
      const BlockId host = walk.host_block();
      if (host == SL_NONE && walk.block() == SL_NONE) break;
      plan.pending = host != SL_NONE && state.pool.copying(host);
      if (plan.pending) break;
      plan.need += host != SL_NONE ? 1 : 0;
      ++at;
    }
  }
  for (; at >= sequence.host_from && at < sequence.host_end() && !plan.pending; ++at) {
    const BlockId host = sequence.host[at - sequence.host_from];
    if (host == SL_NONE || state.pool.indexed(host)) break;  // not to be reached by its path
    plan.pending = state.pool.copying(host);
    if (plan.pending) break;
    ++plan.need;
  }
  plan.reach = at;
  plan.whole = plan.pending || at >= sequence.host_end();
  return plan;
}

std::uint32_t Cache::bring_in(Slot slot, std::uint32_t limit_blocks, std::uint64_t now_ns) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  pin_prefix(slot, limit_blocks, now_ns);
  const BringIn plan = plan_bring_in(slot, limit_blocks);
  assert(plan.whole && !plan.pending && plan.need <= state.pool.free(SL_TIER_DEVICE));
  const std::uint32_t path_end = std::min(limit_blocks, state.tree.end(sequence.node));
  if (plan.need > 0 && sequence.held() < path_end) {
    Walk walk(state.tree, sequence.node, sequence.held(), state.scratch);
    for (; sequence.held() < path_end && walk.host_block() != SL_NONE; walk.next())
      state.bring(slot, sequence, walk.host_block());
  }
  while (sequence.held() < plan.reach)
    state.bring(slot, sequence, sequence.host[sequence.held() - sequence.host_from]);
  state.drop_copy(sequence);  // the copies hold what they read
  return plan.need;
}

void Cache::State::bring(Slot slot, Sequence& sequence, BlockId host) {
  const BlockId block = pool.take(SL_TIER_DEVICE);
  pool.state(block).owner = slot;
  sl_block_row& row = pool.row(host);
  const bool settles = pool.indexed(host);
  if (row.refs++ == 0) pool.drop_evictable(host);
  row.last_use_ns = now_ns;
  if (settles) sequence.uncounted = std::min(sequence.uncounted, sequence.held());
  edits.push_back({slot, sequence.held(), block});
  sequence.table.push_back(block);
  ++sequence.arriving;
  list_copy(host, block, settles);
}

void Cache::drop_copy(Slot slot, std::uint64_t now_ns) {
  state_->now_ns = now_ns;
  state_->drop_copy(state_->sequences[slot]);
}

// Leaf first. What a copy reads or writes goes, or becomes idle, with the copy's end.
void Cache::State::drop_copy(Sequence& sequence) {
  for (std::size_t i = sequence.host.size(); i-- > 0;) {
    const BlockId block = sequence.host[i];
    if (block == SL_NONE) continue;
    pool.state(block).owner = SL_NONE;
    sl_block_row& row = pool.row(block);
    row.last_use_ns = now_ns;
    if (--row.refs > 0) continue;
    if (pool.indexed(block))
      idle(block, sequence.owner);
    else
      pool.give_back(block);
  }
  sequence.host.clear();
  sequence.host_from = sequence.outgoing = sequence.gone = 0;
  tidy_left();
}

bool Cache::has_host_copy(Slot slot) const { return !state_->sequences[slot].host.empty(); }

std::uint32_t Cache::host_copy(Slot slot) const {
  const Sequence& sequence = state_->sequences[slot];
  return static_cast<std::uint32_t>(sequence.host.size()) - sequence.gone;
}

std::vector<Copy>& Cache::copies() { return state_->copies; }
std::uint64_t Cache::copies_pending() const { return state_->pending_copies.size(); }
std::vector<Transfer>& Cache::transfers() { return state_->transfers; }

}  // namespace serveloop::kv
