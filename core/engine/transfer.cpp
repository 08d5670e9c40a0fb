// Between the tiers: swap out, swap in and prefetch, and what came of their copies.
//
// A swapped sequence's row looks like that of one which must recompute (`computed` counts what the device holds), but for
// its state and `blocks_host`. What it had comes back with the copy: `computed` counts it once all of that has arrived.
#include <algorithm>
#include <utility>

#include "engine/engine.hpp"

namespace serveloop::engine {

bool Engine::in_transit(Slot slot) const {
  return (requests_->row(slot).not_ready & SL_NOT_READY_TRANSFER) != 0;
}

// How a sequence counts that nobody runs or has named.
observe::State Engine::waiting_state(Slot slot) const {
  const sl_seq_row& r = requests_->row(slot);
  if (r.state == SL_PAUSED) return observe::State::paused;
  if (in_transit(slot)) return observe::State::transfer;
  return (r.not_ready & kHeld) != 0 ? observe::State::held : observe::State::unnamed;
}

// Something that kept it from running came or went.
void Engine::settle_waiting(Slot slot) {
  if (row(slot).state != SL_RUNNING) transition(slot, waiting_state(slot));
}

// Blocks of its host copy are of no more use once the device has them again.
void Engine::count_host_copies() {
  std::erase_if(swapped_, [this](sl_seq seq) {
    return !requests_->alive(seq) || !cache_->has_host_copy(SL_SEQ_SLOT(seq));
  });
  for (const sl_seq seq : swapped_) row(SL_SEQ_SLOT(seq)).blocks_host = cache_->host_copy(SL_SEQ_SLOT(seq));
}

// A swapped sequence that nobody named waits for memory where there is no room for what it has in host memory: its policy
// has nothing to ask for.
void Engine::settle_swapped() {
  swapped_lack_memory_ = false;
  const sl_tier device = cache_->tier(SL_TIER_DEVICE);
  for (const sl_seq seq : swapped_) {
    const Slot slot = SL_SEQ_SLOT(seq);
    if (!requests_->alive(seq)) continue;
    const sl_seq_row& r = row(slot);
    if (r.state != SL_SWAPPED || r.not_ready != 0 || requests_->at(slot).named_step == step_) continue;
    const bool fits = r.blocks_host <= device.free + device.evictable;
    transition(slot, fits ? observe::State::unnamed : observe::State::memory);
    if (fits) continue;
    blame_holders(slot);
    swapped_lack_memory_ = true;
  }
}

// Of its blocks, from the first on, those that hold confirmed KV.
std::uint32_t Engine::confirmed_blocks(Slot slot) const {
  const std::uint32_t blocks = (confirmed(slot) + options_.block_tokens - 1) / options_.block_tokens;
  return std::min(blocks, requests_->row(slot).blocks_device);
}

// Blocks that a swap would move. None of one whose last token is in flight: it ends with it, before any copy would.
std::uint32_t Engine::swappable(Slot slot) const {
  const sl_seq_row& r = requests_->row(slot);
  if (r.in_flight_max > 0 && r.tokens_left == 0) return 0;
  return cache_->swappable(slot, confirmed_blocks(slot));
}

// Moves what it can of a holder's confirmed KV to host memory. False: nothing moved, and it must recompute.
bool Engine::swap_out(Slot slot) {
  sl_seq_row& r = row(slot);
  const std::uint32_t tokens = confirmed(slot);
  if (!make_host_room(swappable(slot))) return false;
  const std::uint32_t moved = cache_->swap_out(slot, confirmed_blocks(slot), now_ns_);
  if (moved == 0) return false;
  leaving_ += moved;
  life(slot).swapped_tokens = tokens;
  r.blocks_host = moved;
  swapped_.push_back(r.id);
  ++counters_.swapped_out;
  counters_.swapped_out_blocks += moved;
  return true;
}

// Its first tokens whose KV no step in flight writes: a yield that kept blocks counted those as computed. A failure of that
// step would be told to holders of device blocks alone.
std::uint32_t Engine::confirmed(Slot slot) const {
  const Life& of = lives_[slot];
  const std::uint32_t computed = requests_->row(slot).computed;
  const bool still_written = !in_flight_.empty() && in_flight_.front().step < of.kept_step;
  return still_written ? std::min(computed, of.kept_confirmed) : computed;
}

// SL_SWAP_IN and SL_PREFETCH: what of the sequence's path and of its own copy is in host memory comes to the device,
// where it holds it (SL_RESERVED) and runs in a later step.
void Engine::stage_bring_in(const sl_entry& entry, std::uint32_t index) {
  const Slot slot = SL_SEQ_SLOT(entry.seq);
  if (options_.host_kv_blocks == 0) return fall_unplaced(slot, index, SL_REASON_NO_HOST_TIER);
  sl_seq_row& r = row(slot);
  if (in_transit(slot) || r.in_flight_max > 0) return fall_unplaced(slot, index, SL_REASON_COPY_PENDING);
  const std::uint32_t had = r.blocks_device;
  if (covered(r) != had * options_.block_tokens)
    return;  // it has begun its last block: nothing fits behind it
  const std::uint32_t limit = bring_in_limit(slot, entry);
  pin(slot, limit);
  const kv::BringIn plan = cache_->plan_bring_in(slot, limit);
  if (!plan.whole) return give_up_copy(slot, had);
  if (r.state != SL_SWAPPED && !plan.pending && plan.need == 0 && r.blocks_device == 0)
    return;  // nothing is cached
  Staged staged{slot,       index, 0,     plan.need, std::max(plan.reach, r.blocks_device), 0, had,
                entry.verb, false, false, false};
  if (plan.pending) {
    staged.need = 0;
    return fell(staged, SL_REASON_COPY_PENDING);
  }
  need_ += staged.need;
  staged_.add(staged);
}

std::uint32_t Engine::bring_in_limit(Slot slot, const sl_entry& entry) const {
  const std::uint32_t whole = (known_tokens(slot) - 1) / options_.block_tokens;
  return entry.verb == SL_PREFETCH && entry.blocks > 0 ? std::min(entry.blocks, whole) : whole;
}

void Engine::commit_bring_in(Staged& staged) {
  const Slot slot = staged.slot;
  sl_seq_row& r = row(slot);
  const std::uint32_t limit = bring_in_limit(slot, entries_[staged.entry]);
  pin(slot, limit);  // earlier entries hung in and dropped since
  const kv::BringIn plan = cache_->plan_bring_in(slot, limit);
  if (plan.pending) return fell(staged, SL_REASON_COPY_PENDING);
  if (!plan.whole) {
    staged.fallen = true;
    need_ -= staged.need;
    return give_up_copy(slot, staged.had);
  }
  if (plan.need > cache_->tier(SL_TIER_DEVICE).free) return fell(staged, SL_REASON_MEMORY);
  const std::uint32_t copies = cache_->bring_in(slot, limit, now_ns_);
  counters_.brought_in_blocks += copies;
  counters_.prefetched_blocks += staged.verb == SL_PREFETCH ? copies : 0;
  counters_.swapped_in += r.state == SL_SWAPPED ? 1 : 0;
  r.blocks_device = static_cast<std::uint32_t>(cache_->table(slot).size());
  r.blocks_host = 0;
  requests_->reserve(slot);
  requests_->at(slot).named_step = step_;
  if (copies == 0) {
    count_brought_in(slot);
    settle_waiting(slot);  // it may have fallen before
    return requests_->transferred(slot, 0, SL_TIER_DEVICE, now_ns_);
  }
  requests_->transfer(slot);
  transition(slot, observe::State::transfer);
}

// The row of a sequence with `blocks` on the device, which hold KV of its first `tokens` tokens.
void Engine::hold(Slot slot, std::uint32_t blocks, std::uint32_t tokens) {
  sl_seq_row& r = row(slot);
  const sl_request_row& request = requests_->request_of(slot);
  r.blocks_device = blocks;
  r.computed = std::min(tokens, known_tokens(slot) - 1);
  r.in_flight_min = r.in_flight_max = 0;
  r.runnable = known_tokens(slot) - r.computed;
  r.tokens_left = request.prompt_tokens + request.max_tokens - 1 - r.computed;
}

// What came from host memory is computed from here on, and must never be written again: others may hit it. Those of its
// path are whole; those of its own copy hold what it had. What a prefetch found is a hit; what a preempted sequence finds
// again is its own work.
void Engine::count_brought_in(Slot slot) {
  sl_seq_row& r = row(slot);
  const auto held = static_cast<std::uint32_t>(cache_->table(slot).size());
  const std::uint32_t bt = options_.block_tokens, before = r.computed;
  const std::uint32_t own = std::min(held * bt, std::exchange(life(slot).swapped_tokens, 0));
  hold(slot, held, std::max({before, cache_->indexed(slot) * bt, own}));
  r.high_water = std::max(r.high_water, r.computed);
  if (requests_->at(slot).life > 0) return;
  life(slot).hit_tokens += r.computed - before;
  counters_.hit_tokens += r.computed - before;
}

// The prefix above its copy is gone from the device: neither that copy nor what it pinned beyond `had` blocks is of use.
void Engine::give_up_copy(Slot slot, std::uint32_t had) {
  if (row(slot).blocks_device > had) release_to(slot, had);
  cache_->drop_copy(slot, now_ns_);
  copy_lost(slot);
}

// Its host copy cannot be used any more: it waits, and will recompute.
void Engine::copy_lost(Slot slot) {
  row(slot).blocks_host = 0;
  life(slot).swapped_tokens = 0;
  ++counters_.copies_lost;
  requests_->copy_lost(slot, now_ns_);
  settle_waiting(slot);
}

// What happened to sequences' blocks in host memory since the last call.
void Engine::take_transfers() {
  if (cache_->transfers().empty()) return;
  std::vector<kv::Transfer> transfers;
  transfers.swap(cache_->transfers());
  for (const kv::Transfer& transfer : transfers) {
    const Slot slot = transfer.slot;
    sl_seq_row& r = row(slot);
    if (r.state == SL_ENDED) continue;  // with the token that the same collection brought
    switch (transfer.what) {
      case kv::Transfer::out:
        r.blocks_host = cache_->host_copy(slot);
        requests_->transferred(slot, r.blocks_host, SL_TIER_HOST, now_ns_);
        break;
      case kv::Transfer::in:
      case kv::Transfer::cut:
        count_brought_in(slot);
        requests_->set_holder(slot, r.blocks_device > 0);
        requests_->transferred(slot, r.blocks_device, SL_TIER_DEVICE, now_ns_);
        break;
      case kv::Transfer::lost: copy_lost(slot); continue;
    }
    settle_waiting(slot);
  }
}

// The step's copies, in the executor's terms.
void Engine::list_copies() {
  copies_.clear();
  for (const kv::Copy& copy : cache_->copies()) {
    const auto place = [&](kv::BlockId block, std::uint16_t tier) {
      return tier == SL_TIER_HOST ? block - options_.kv_blocks : block;
    };
    copies_.push_back({place(copy.from, copy.from_tier), place(copy.to, copy.to_tier),
                       static_cast<std::uint8_t>(copy.from_tier), static_cast<std::uint8_t>(copy.to_tier)});
    copies_out_.push_back(copy.from_tier == SL_TIER_DEVICE);
  }
  counters_.copies += copies_.size();
  counters_.most_in_transit = std::max<std::uint64_t>(counters_.most_in_transit, copies_out_.size());
  cache_->copies().clear();
}

void Engine::collect_copies(const execute::Collected& done) {
  for (; copies_ended_ < done.copies_ended; ++copies_ended_) {
    leaving_ -= copies_out_.front() ? 1 : 0;
    copies_out_.pop_front();
  }
  counters_.copies_failed += done.copies_failed.size();
  if (options_.host_kv_blocks == 0) return;
  cache_->copied(done.copies_ended, done.copies_failed, now_ns_);
  take_transfers();
}

}  // namespace serveloop::engine
