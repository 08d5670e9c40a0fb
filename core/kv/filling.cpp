// Blocks that submitted steps are still writing.
#include <serveloop/reasons.h>

#include <utility>

#include "kv/state.hpp"

namespace serveloop::kv {

namespace {
// The step's entry of `pending`, taken out; an empty one if it wrote no indexed block.
Filling take_out(std::vector<Filling>& pending, std::uint64_t step) {
  for (auto it = pending.begin(); it != pending.end(); ++it) {
    if (it->step != step) continue;
    Filling found = std::move(*it);
    pending.erase(it);
    return found;
  }
  return {step, 0, {}};
}
}  // namespace

void Cache::seal(std::uint64_t step) {
  State& state = *state_;
  if (state.filling.blocks.empty()) return;
  const std::uint32_t serial = state.filling.serial;
  state.filling.step = step;
  state.pending.push_back(std::move(state.filling));
  state.filling = {0, serial + 1 != 0 ? serial + 1 : 1, {}};
  if (state.spare.empty()) return;
  state.filling.blocks = std::move(state.spare.back());
  state.spare.pop_back();
}

void Cache::filled(std::uint64_t step) {
  State& state = *state_;
  Filling done = take_out(state.pending, step);
  for (const BlockId block : done.blocks) {
    if (state.pool.state(block).filling_by != done.serial) continue;  // left the tree since
    state.pool.state(block).filling_by = 0;
    sl_block_row& row = state.pool.row(block);
    row.flags = static_cast<std::uint16_t>(row.flags & ~SL_BLOCK_FLAG_FILLING);
    --state.tree.row(row.node).filling;
  }
  if (done.serial == 0) return;
  done.blocks.clear();
  state.spare.push_back(std::move(done.blocks));
}

void Cache::failed(std::uint64_t step) {
  State& state = *state_;
  const Filling lost = take_out(state.pending, step);
  for (const BlockId block : lost.blocks) {
    if (state.pool.state(block).filling_by != lost.serial) continue;  // left the tree since
    const BlockId above = state.pool.row(block).parent;
    state.drop_below(block, SL_REASON_STEP_FAILED);
    state.sweep(above);
  }
  state.tidy_left();
  state.lose_copies();
}

}  // namespace serveloop::kv
