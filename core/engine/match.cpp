// Part 4 of a step: what each entry of the checked plan has, and what it needs.
//
// match() walks the plan once: it pins what the prompt tree has for each entry and works out how many blocks
// the entry must be given, counting what earlier entries of the same plan will hang into the tree. submit()
// (submit.cpp) then gives the blocks, in the same order, to those that room.cpp left standing.
#include <algorithm>
#include <cassert>
#include <utility>

#include "engine/engine.hpp"
#include "engine/reservation.hpp"

namespace serveloop::engine {

namespace {
std::uint32_t blocks_for(std::uint32_t tokens, std::uint32_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}
}  // namespace

void Engine::begin_match(std::size_t most_staged) {
  staged_.start(most_staged);
  need_ = placed_tokens_ = admitting_ = 0;
  exhausted_memory_ = exhausted_slots_ = false;
  std::swap(fell_, fell_before_);
  fell_.clear();
  cache_->begin_plan();
  if (reservation_ != nullptr) reservation_->begin_plan();
}

void Engine::match() {
  begin_match(plan_count_);
  const std::span<const sl_entry> plan(entries_, plan_count_);
  if (plan_frees_) {  // what only frees comes first
    for (const sl_entry& entry : plan)
      if (entry.verb == SL_PREEMPT && !in_transit(SL_SEQ_SLOT(entry.seq)))
        yield(SL_SEQ_SLOT(entry.seq), {entry.arg, entry.blocks, entry.reason, YieldBy::plan, SL_NO_SEQ});
    apply_park_verbs(plan, requests::kScheduler);
  }
  for (std::uint32_t i = 0; i < plan_count_; ++i)
    if (!stage_decode(plan[i], i)) stage(plan[i], i);
}

// The common entry, a decode, needs a block where its last one is full.
bool Engine::stage_decode(const sl_entry& entry, std::uint32_t index) {
  const Slot slot = SL_SEQ_SLOT(entry.seq);
  const sl_seq_row& r = row(slot);
  if (!decodes(entry, r, requests_->checked(slot).prompt_tokens)) return false;
  const std::uint32_t need = last_block_full(r) ? 1 : 0;
  staged_.add({slot, index, 1, need, r.blocks_device + need, 0, r.blocks_device, SL_RUN, false, true, false});
  need_ += need;
  ++placed_tokens_;
  return true;
}

void Engine::stage(const sl_entry& entry, std::uint32_t index) {
  const Slot slot = SL_SEQ_SLOT(entry.seq);
  const sl_seq_row& r = row(slot);
  switch (entry.verb) {
    case SL_RUN:
    case SL_ADMIT: break;
    case SL_RESERVE: {
      if (!has_extent(slot, index)) return;
      const std::uint32_t had = r.blocks_device;
      if (r.state == SL_WAITING && r.runnable > 1 && covered(r) == had * options_.block_tokens)
        pin(slot, std::min(entry.blocks, (covered(r) + r.runnable - 1) / options_.block_tokens));
      const std::uint32_t need = entry.blocks > r.blocks_device ? entry.blocks - r.blocks_device : 0;
      staged_.add({slot, index, 0, need, std::max(entry.blocks, r.blocks_device), 0, had, SL_RESERVE, false,
                   false, false});
      need_ += need;
      return;
    }
    case SL_SWAP_IN:
    case SL_PREFETCH: return stage_bring_in(entry, index);
    case SL_PREEMPT:
      if (in_transit(slot)) fall_unplaced(slot, index, SL_REASON_COPY_PENDING);
      return;
    default: return;
  }
  Staged staged{slot,  index, 0, 0, r.blocks_device, 0, r.blocks_device, entry.verb, entry.verb == SL_ADMIT,
                false, false};
  if (staged.admits) {
    if (admitting_ + requests_->running_count() >= options_.max_sequences) {
      exhausted_slots_ = true;
      fall_unplaced(slot, index, SL_REASON_SLOTS);
      return;
    }
    if (r.in_flight_max > 0) {  // paused and resumed within a step: its token is still to come
      fall_unplaced(slot, index, SL_REASON_COPY_PENDING);
      return;
    }
    if (!has_extent(slot, index)) return;
    ++admitting_;
  }
  if (r.runnable > 0) stage_prefill(staged, entry.tokens);
  staged.blocks = std::max(staged.blocks, entry.blocks);
  const std::uint32_t had = std::max(staged.planned, r.blocks_device);
  staged.need = staged.blocks > had ? staged.blocks - had : 0;
  if (staged.tokens == 0 && !staged.admits && staged.need == 0) return;  // all of it is in flight
  need_ += staged.need;
  placed_tokens_ += staged.tokens;
  staged_.add(staged);
}

// Where extents are reserved: it has one, or gets it now. Else it falls.
bool Engine::has_extent(Slot slot, std::uint32_t index) {
  if (reservation_ == nullptr) return true;
  const sl_request_row& request = requests_->request_of(slot);
  if (reservation_->place(slot, reservation_->blocks_of(request.prompt_tokens, request.max_tokens)))
    return true;
  exhausted_memory_ = true;
  fall_unplaced(slot, index, SL_REASON_MEMORY);
  return false;
}

// A hit is whole blocks and stops one token short of what is known, so that there is something left to run.
void Engine::stage_prefill(Staged& staged, std::uint32_t limit_tokens) {
  sl_seq_row& r = row(staged.slot);
  const std::uint32_t bt = options_.block_tokens;
  if (r.runnable > 1 && covered(r) == r.blocks_device * bt) {
    const std::uint32_t limit_blocks = (covered(r) + r.runnable - 1) / bt;
    pin(staged.slot, limit_blocks);
    staged.planned = cache_->planned_prefix(staged.slot, limit_blocks);
  }
  const std::uint32_t start = std::max(covered(r), staged.planned * bt);
  const std::uint32_t left = covered(r) + r.runnable - start;
  staged.tokens = std::min(limit_tokens, left);
  staged.blocks = std::max(r.blocks_device, blocks_for(start + staged.tokens, bt));
  const std::uint32_t from = staged.planned > r.blocks_device ? start / bt : unfilled_from(staged.slot);
  cache_->mark_planned(staged.slot, (start + staged.tokens) / bt, from);
}

// The first of its own blocks that no collected step has filled: a step in flight writes it, or the next one will.
std::uint32_t Engine::unfilled_from(Slot slot) const {
  return std::max(cache_->indexed(slot), requests_->row(slot).computed / options_.block_tokens);
}

// Takes what the tree has beyond the sequence's table, which counts as computed. What a preempted sequence finds again
// is its own work, and no hit.
void Engine::pin(Slot slot, std::uint32_t limit_blocks) {
  sl_seq_row& r = row(slot);
  const std::uint32_t held = cache_->pin_prefix(slot, limit_blocks, now_ns_);
  if (held <= r.blocks_device) return;
  const std::uint32_t hit = (held - r.blocks_device) * options_.block_tokens;
  r.blocks_device = held;
  r.computed += hit;
  r.runnable -= hit;
  r.tokens_left -= hit;
  r.high_water = std::max(r.high_water, covered(r));
  if (requests_->at(slot).life > 0) return;
  life(slot).hit_tokens += hit;
  counters_.hit_tokens += hit;
}

// The three that hold most blocks, once a step: what an entry that fell for memory waits for.
void Engine::find_top_holders() {
  if (std::exchange(holders_step_, step_) == step_) return;
  top_holders_.clear();
  const auto add = [&](Slot slot) {
    if (row(slot).blocks_device > 0) top_holders_.push_back({row(slot).id, row(slot).blocks_device});
  };
  for (const Slot slot : requests_->running()) add(slot);
  for (const Slot slot : requests_->holders()) add(slot);
  const std::size_t most = std::min<std::size_t>(3, top_holders_.size());
  std::partial_sort(top_holders_.begin(), top_holders_.begin() + static_cast<std::ptrdiff_t>(most),
                    top_holders_.end(), [](const TopHolder& a, const TopHolder& b) {
                      return a.blocks != b.blocks ? a.blocks > b.blocks : a.seq < b.seq;
                    });
  top_holders_.resize(most);
}

// What waits for copies waits for its blocks or for memory that they free; else its own token is in flight.
observe::State Engine::state_of_fallen(const sl_seq_row& r, std::uint16_t reason) {
  switch (reason) {
    case SL_REASON_SLOTS: return observe::State::slots;
    case SL_REASON_MEMORY: return observe::State::memory;
    case SL_REASON_COPY_PENDING:
      return r.state != SL_RUNNING && r.in_flight_max > 0 ? observe::State::unnamed
                                                          : observe::State::transfer;
    default: return observe::State::unnamed;
  }
}

void Engine::fall_unplaced(Slot slot, std::uint32_t entry, std::uint16_t reason) {
  ++counters_.fell[reason];
  requests_->event(SL_EV_FELL, row(slot).id, reason, entry);
  requests_->at(slot).named_step = step_;
  fell_.push_back({row(slot).id, entry, reason});
  if (row(slot).state != SL_PAUSED && !in_transit(slot)) transition(slot, state_of_fallen(row(slot), reason));
  if (reason == SL_REASON_MEMORY) blame_holders(slot);
  log(observe::Item::fell, [&](observe::Writer& out) {
    out.u64(row(slot).id);
    out.u64(entry);
    out.u64(reason);
    const std::size_t holders = reason == SL_REASON_MEMORY ? top_holders_.size() : 0;
    out.u64(holders);
    for (std::size_t i = 0; i < holders; ++i) {
      out.u64(top_holders_[i].seq);
      out.u64(top_holders_[i].blocks);
    }
  });
}

// It waits for memory: who holds most of it?
void Engine::blame_holders(Slot slot) {
  find_top_holders();
  if (!top_holders_.empty())
    life(slot).blocked_by = requests_->request_of(SL_SEQ_SLOT(top_holders_.front().seq)).request;
}

// Gives back all blocks from `keep` on; the tokens in them lose their KV, also those in flight.
void Engine::release_to(Slot slot, std::uint32_t keep) {
  sl_seq_row& r = row(slot);
  cache_->release(slot, keep, now_ns_);
  const std::uint32_t kept_tokens = std::min(covered(r), keep * options_.block_tokens);
  r.blocks_device = keep;
  r.computed = kept_tokens;
  r.in_flight_min = r.in_flight_max = 0;
  r.runnable = known_tokens(slot) - kept_tokens;
  r.tokens_left =
      requests_->request_of(slot).prompt_tokens + requests_->request_of(slot).max_tokens - 1 - kept_tokens;
}

// What would enter gives back what it had pinned; a running sequence keeps its hits.
void Engine::fell(Staged& staged, std::uint16_t reason) {
  staged.fallen = true;
  need_ -= staged.need;
  placed_tokens_ -= staged.tokens;
  if (reason == SL_REASON_MEMORY) exhausted_memory_ = true;
  if (staged.admits) --admitting_;
  if (row(staged.slot).state != SL_RUNNING && row(staged.slot).blocks_device > staged.had) {
    const std::uint32_t unused = (row(staged.slot).blocks_device - staged.had) * options_.block_tokens;
    if (requests_->at(staged.slot).life == 0) {
      life(staged.slot).hit_tokens -= unused;
      counters_.hit_tokens -= unused;
    }
    release_to(staged.slot, staged.had);
  }
  if (reservation_ != nullptr && row(staged.slot).state != SL_RUNNING && staged.had == 0)
    reservation_->release(staged.slot);
  fall_unplaced(staged.slot, staged.entry, reason);
}

}  // namespace serveloop::engine
