// Committing: blocks given, hung in and released.
#include <algorithm>
#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::extend(Slot slot, std::uint32_t blocks) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  assert(sequence.arriving == 0);
  while (sequence.held() < blocks) {
    const BlockId block = state.pool.take(SL_TIER_DEVICE);
    state.edits.push_back({slot, sequence.held(), block});
    sequence.table.push_back(block);
  }
}

void Cache::prefetch(Slot slot) const {
  const auto* sequence = reinterpret_cast<const char*>(&state_->sequences[slot]);
  __builtin_prefetch(sequence, 1);
  __builtin_prefetch(sequence + 64, 1);
}

void Cache::prefetch_end(Slot slot) const {
  const Sequence& sequence = state_->sequences[slot];
  __builtin_prefetch(&state_->tree.row(sequence.node), 1);
  __builtin_prefetch(&state_->tree.node(sequence.node), 1);
  if (!sequence.table.empty()) __builtin_prefetch(&sequence.table.back());
}

void Cache::prefetch_block(Slot slot) const {
  const Sequence& sequence = state_->sequences[slot];
  const std::vector<CellId>& edge = state_->tree.node(sequence.node).edge;
  __builtin_prefetch(edge.data() + edge.size(), 1);
  const std::uint32_t held = sequence.held();
  for (std::uint32_t i = held < 2 ? 0 : held - 2; i < held; ++i) {  // and the one above it
    const sl_block_row& row = state_->pool.row(sequence.table[i]);
    __builtin_prefetch(&row, 1);
    __builtin_prefetch(&row.host_children, 1);  // a row lies in one line or in two
  }
}

void Cache::State::settle(Slot slot, Sequence& sequence, std::uint32_t end, std::uint32_t filled_end) {
  end = std::min({end, sequence.held(), tree.end(sequence.node)});
  if (sequence.indexed >= end) return;
  Walk walk(tree, sequence.node, sequence.indexed, scratch);
  for (; sequence.indexed < end; ++sequence.indexed, walk.next()) {
    const bool is_filled = sequence.indexed < filled_end;
    const BlockId block = walk.block();
    if (block == SL_NONE) {
      hang_in(sequence, sequence.indexed, walk.node, walk.offset, !is_filled);
    } else if (is_filled) {
      take(slot, sequence, sequence.indexed, block);
    } else {
      return;
    }
  }
}

void Cache::index_path(Slot slot, std::uint32_t end_block, std::uint32_t from_filling_block,
                       std::uint64_t now_ns) {
  state_->now_ns = now_ns;
  state_->settle(slot, state_->sequences[slot], end_block, from_filling_block);
}

void Cache::index_generated(Slot slot, std::uint32_t index, std::span<const Token> tokens,
                            std::uint64_t now_ns) {
  State& state = *state_;
  Sequence& sequence = state.sequences[slot];
  assert(tokens.size() == state.options.block_tokens);
  state.now_ns = now_ns;
  if (sequence.transient) return;
  if (index == state.tree.end(sequence.node)) state.lengthen(sequence, tokens);
  state.settle(slot, sequence, index + 1, index + 1);
}

void Cache::release(Slot slot, std::uint32_t keep, std::uint64_t now_ns) {
  state_->now_ns = now_ns;
  state_->release(state_->sequences[slot], keep);
}

void Cache::State::release(Sequence& sequence, std::uint32_t keep) {
  std::uint32_t held = sequence.held();
  if (held <= keep) return;
  for (; sequence.arriving > 0 && held > keep; --held, --sequence.arriving)
    pool.strip(sequence.table[held - 1]);  // free once its copy ended
  for (; held > std::max(keep, sequence.indexed); --held) pool.give_back(sequence.table[held - 1]);
  for (; held > keep; --held) unpin(sequence, sequence.table[held - 1]);
  sequence.table.resize(keep);
  sequence.indexed = std::min(sequence.indexed, keep);
  if (sequence.uncounted >= keep) sequence.uncounted = SL_NONE;
  tidy_left();
}

}  // namespace serveloop::kv
