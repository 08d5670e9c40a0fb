// Ends of copies. A block that the tree, its holder or its table gave up meanwhile is free now.
#include <serveloop/reasons.h>

#include <cassert>

#include "kv/state.hpp"

namespace serveloop::kv {

void Cache::copied(std::uint64_t ended, std::span<const std::uint64_t> failed, std::uint64_t now_ns) {
  State& state = *state_;
  assert(ended <= state.copies_ended + state.pending_copies.size());
  state.now_ns = now_ns;
  for (; state.copies_ended < ended; ++state.copies_ended) {
    const bool bad = !failed.empty() && failed.front() == state.copies_ended;
    if (bad) failed = failed.subspan(1);
    const PendingCopy copy = state.pending_copies.front();
    state.pending_copies.pop_front();
    if (state.pool.tier_of(copy.to) == SL_TIER_HOST)
      state.ended_out(copy, bad);
    else
      state.ended_in(copy, bad);
  }
  assert(failed.empty() && "a copy failed that has not ended");
}

void Cache::State::ended_out(const PendingCopy& copy, bool failed) {
  pool.end_copy(copy.from);
  pool.give_back(copy.from);
  if (failed) {
    if (pool.indexed(copy.to)) {
      const BlockId above = pool.row(copy.to).parent;
      drop_below(copy.to, SL_REASON_COPY_FAILED);
      sweep(above);
      tidy_left();
    } else if (pool.state(copy.to).owner != SL_NONE) {
      bereft.push_back(pool.state(copy.to).owner);
    }
    lose_copies();
  }
  sl_block_row& row = pool.row(copy.to);
  row.flags = static_cast<std::uint16_t>(row.flags & ~SL_BLOCK_FLAG_FILLING);
  if (const Slot holder = pool.state(copy.to).owner; holder != SL_NONE)
    if (--sequences[holder].outgoing == 0) transfers.push_back({holder, Transfer::out});
  release_source(copy.to);
}

void Cache::State::ended_in(const PendingCopy& copy, bool failed) {
  pool.end_copy(copy.to);
  const Slot slot = pool.state(copy.to).owner;
  pool.state(copy.to).owner = SL_NONE;
  if (slot == SL_NONE)
    pool.give_back(copy.to);
  else if (failed)
    cut_short(slot);
  else
    arrived(slot, copy);
  if (failed && pool.indexed(copy.from)) {
    const BlockId above = pool.row(copy.from).parent;
    drop_below(copy.from, SL_REASON_COPY_FAILED);
    sweep(above);
    tidy_left();
    lose_copies();
  }
  release_source(copy.from);
}

// The first of the blocks that the sequence waits for is there: it goes to its place in the tree, or gives way to
// what another sequence hung in there meanwhile.
void Cache::State::arrived(Slot slot, const PendingCopy& copy) {
  Sequence& sequence = sequences[slot];
  const std::uint32_t index = sequence.held() - sequence.arriving;
  assert(sequence.table[index] == copy.to);
  --sequence.arriving;
  if (copy.settles) settle(slot, sequence, index + 1, index + 1);
  if (sequence.arriving == 0) transfers.push_back({slot, Transfer::in});
}

// The first of them did not come, so the others are of no use.
void Cache::State::cut_short(Slot slot) {
  Sequence& sequence = sequences[slot];
  const std::uint32_t index = sequence.held() - sequence.arriving;
  pool.give_back(sequence.table[index]);
  for (std::uint32_t i = index + 1; i < sequence.held(); ++i) pool.strip(sequence.table[i]);
  sequence.table.resize(index);
  sequence.arriving = 0;
  if (sequence.uncounted >= index) sequence.uncounted = SL_NONE;
  transfers.push_back({slot, Transfer::cut});
}

// The host block's copy is over, whichever way it went.
void Cache::State::release_source(BlockId host) {
  pool.end_copy(host);
  sl_block_row& row = pool.row(host);
  if (--row.refs > 0) return;
  if (!pool.indexed(host)) return pool.give_back(host);
  idle(host, {});
  tidy_left();
}

}  // namespace serveloop::kv
