// Parts 4 and 7 of a step: from the checked plan to the batch.
//
// match() walks the plan once: it pins what the prompt tree has for each entry and works out how many blocks the entry must be
// given, counting what earlier entries of the same plan will hang into the tree. submit() then gives the blocks, in the same
// order, to those that room.cpp left standing.
#include <algorithm>
#include <cassert>

#include "engine/engine.hpp"

namespace serveloop::engine {

namespace {
std::uint32_t blocks_for(std::uint32_t tokens, std::uint32_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}
std::uint32_t covered(const sl_seq_row& row) { return row.computed + row.in_flight_max; }
}  // namespace

void Engine::match() {
  staged_.start(plan_count_);
  need_ = placed_tokens_ = admitting_ = 0;
  exhausted_memory_ = exhausted_slots_ = false;
  std::swap(fell_, fell_before_);
  fell_.clear();
  cache_->begin_plan();
  const std::span<const sl_entry> plan(entries_, plan_count_);
  if (plan_frees_) {  // what only frees comes first
    for (const sl_entry& entry : plan)
      if (entry.verb == SL_PREEMPT) yield(SL_SEQ_SLOT(entry.seq), entry.arg, entry.blocks, entry.reason, SL_NO_SEQ);
    apply_park_verbs(plan, SL_NOT_READY_PARKED);
  }
  for (std::uint32_t i = 0; i < plan_count_; ++i)
    if (!stage_decode(plan[i], i)) stage(plan[i], i);
}

// The common entry: a running sequence's next token. Needs a block where its last one is full.
bool Engine::stage_decode(const sl_entry& entry, std::uint32_t index) {
  const Slot slot = SL_SEQ_SLOT(entry.seq);
  const sl_seq_row& r = row(slot);
  if (entry.verb != SL_RUN || entry.blocks != 0 || r.runnable != 1 || covered(r) < requests_->at(slot).prompt_tokens)
    return false;
  const std::uint32_t need = covered(r) < r.blocks_device * options_.block_tokens ? 0 : 1;
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
      const std::uint32_t need = entry.blocks > r.blocks_device ? entry.blocks - r.blocks_device : 0;
      staged_.add({slot, index, 0, need, std::max(entry.blocks, r.blocks_device), 0, r.blocks_device, SL_RESERVE, false,
                   false, false});
      need_ += need;
      return;
    }
    case SL_SWAP_IN:
    case SL_PREFETCH: fall_unplaced(slot, index, SL_REASON_NO_HOST_TIER); return;
    default: return;
  }
  Staged staged{slot, index, 0, 0, r.blocks_device, 0, r.blocks_device, entry.verb, entry.verb == SL_ADMIT, false, false};
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
  cache_->mark_planned(staged.slot, (start + staged.tokens) / bt, start / bt);
}

// Takes what the tree has beyond the sequence's table: hit tokens count as computed.
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
  life(slot).hit_tokens += hit;
  counters_.hit_tokens += hit;
}

void Engine::fall_unplaced(Slot slot, std::uint32_t entry, std::uint16_t reason) {
  ++counters_.fell[reason];
  requests_->event(SL_EV_FELL, row(slot).id, reason, entry);
  requests_->at(slot).named_step = step_;
  fell_.push_back({row(slot).id, entry});
  if (row(slot).state != SL_PAUSED)
    transition(slot, reason == SL_REASON_SLOTS    ? observe::State::slots
                     : reason == SL_REASON_MEMORY ? observe::State::memory
                                                  : observe::State::unnamed);
  log(observe::Item::fell, [&](observe::Writer& out) {
    out.u64(row(slot).id);
    out.u64(entry);
    out.u64(reason);
  });
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
  r.tokens_left = requests_->request_of(slot).prompt_tokens + requests_->request_of(slot).max_tokens - 1 - kept_tokens;
}

// An admission gives back what it had pinned; a running sequence keeps its hits.
void Engine::fell(Staged& staged, std::uint16_t reason) {
  staged.fallen = true;
  need_ -= staged.need;
  placed_tokens_ -= staged.tokens;
  if (reason == SL_REASON_MEMORY) exhausted_memory_ = true;
  if (staged.admits) {
    --admitting_;
    const std::uint32_t unused = (row(staged.slot).blocks_device - staged.had) * options_.block_tokens;
    life(staged.slot).hit_tokens -= unused;
    counters_.hit_tokens -= unused;
    release_to(staged.slot, staged.had);
  }
  fall_unplaced(staged.slot, staged.entry, reason);
}

void Engine::submit() {
  begins_.clear();
  changes_.clear();
  batch_.start(staged_.size());
  InFlight flight;
  if (!spare_.empty()) {
    flight = std::move(spare_.back());
    spare_.pop_back();
  }
  flight.step = step_;
  flight.is_void = flight.some_ended = false;
  flight.prefill_tokens = prefill_rows_ = 0;
  flight.rows.start(staged_.size());
  for (Staged& staged : staged_) {
    if (staged.fallen) continue;
    if (staged.decode) commit_decode(staged, flight);
    else commit(staged, flight);
  }
  flight.decodes = static_cast<std::uint32_t>(batch_.size()) - prefill_rows_;
  counters_.computed_tokens += flight.decodes + flight.prefill_tokens;
  settle_unnamed(flight.rows.size());
  watch_progress();
  if (batch_.empty()) {
    spare_.push_back(std::move(flight));
    mark(Phase::other, 0);
    return;
  }
  send_edits();
  cache_->seal(step_);
  flight.exhausted = exhausted_memory_                              ? observe::Cause::memory
                     : placed_tokens_ >= options_.token_budget       ? observe::Cause::tokens
                     : exhausted_slots_ || requests_->running_count() >= options_.max_sequences ? observe::Cause::slots
                                                                     : observe::Cause::policy;
  flight.transitions.clear();
  flight.transitions.swap(transitions_);
  execute::Batch batch{step_, mode_, flight.decodes, flight.prefill_tokens, begins_, changes_, {}, batch_};
  log(observe::Item::batch, [&](observe::Writer& out) {
    for (const std::uint64_t v : {std::uint64_t{batch_.size()}, std::uint64_t{flight.decodes},
                                  std::uint64_t{flight.prefill_tokens}, std::uint64_t{changes_.size()}})
      out.u64(v);
  });
  mark(Phase::other, static_cast<std::uint32_t>(batch_.size()));
  executor_.submit(batch);
  in_flight_.push_back(std::move(flight));
}

void Engine::commit_decode(Staged& staged, InFlight& flight) {
  const Slot slot = staged.slot;
  sl_seq_row& r = row(slot);
  if (staged.need > 0 && !give_blocks(staged)) return;
  requests::Sequence& sequence = requests_->at(slot);
  const std::uint32_t start = covered(r);
  flight.rows.add({r.id, sequence.life, start, 1, 0, true, false});
  batch_.add({sequence.row, start, 1, true});
  sequence.named_step = step_;
  r.in_flight_min = ++r.in_flight_max;
  r.runnable = --r.tokens_left > 0 ? 1 : 0;
  transition(slot, observe::State::decode);
}

// Gives an entry its blocks and its row in the batch.
void Engine::commit(Staged& staged, InFlight& flight) {
  const Slot slot = staged.slot;
  sl_seq_row& r = row(slot);
  if (staged.planned > r.blocks_device) {  // what earlier entries hung in just now
    pin(slot, staged.planned);
    if (r.blocks_device < staged.planned) return fell(staged, SL_REASON_MEMORY);  // the entry it built on fell
  }
  if (staged.blocks > r.blocks_device && !give_blocks(staged)) return;
  if (staged.verb == SL_RESERVE) {
    if (r.state == SL_WAITING) requests_->reserve(slot);
    return;
  }
  if (staged.admits) {
    begin_row(slot);
    cache_->set_waiting(slot, false);
  }
  if (staged.tokens > 0) commit_prefill(staged, flight);
  if (staged.admits) send_table(slot);
}

bool Engine::give_blocks(Staged& staged) {
  sl_seq_row& r = row(staged.slot);
  if (staged.blocks - r.blocks_device > cache_->tier(SL_TIER_DEVICE).free) {
    fell(staged, SL_REASON_MEMORY);
    return false;
  }
  cache_->extend(staged.slot, staged.blocks);
  r.blocks_device = staged.blocks;
  return true;
}

void Engine::commit_prefill(const Staged& staged, InFlight& flight) {
  const Slot slot = staged.slot;
  sl_seq_row& r = row(slot);
  requests::Sequence& sequence = requests_->at(slot);
  const std::uint32_t start = covered(r), bt = options_.block_tokens;
  const bool samples = staged.tokens == r.runnable;
  cache_->index_path(slot, (start + staged.tokens) / bt, start / bt, now_ns_);
  if (!samples) ++counters_.split_prompts;
  const std::uint32_t recompute = r.high_water > start ? std::min(staged.tokens, r.high_water - start) : 0;
  flight.rows.add({r.id, sequence.life, start, staged.tokens, recompute, samples, true});
  batch_.add({sequence.row, start, staged.tokens, samples});
  sequence.named_step = step_;
  flight.prefill_tokens += staged.tokens;
  ++prefill_rows_;
  r.in_flight_min = r.in_flight_max += staged.tokens;
  r.tokens_left -= staged.tokens;
  r.runnable = r.runnable - staged.tokens + (samples && r.tokens_left > 0 ? 1 : 0);
  transition(slot, observe::State::prefill);
  counters_.recomputed_tokens += recompute;
  life(slot).recomputed_tokens += recompute;
}

// Sequences that this plan did not name wait for what the step exhausted: running ones left out, and those whose entry fell in
// the step before.
void Engine::settle_unnamed(std::size_t rows) {
  const auto unnamed = [&](Slot slot) {
    if (requests_->at(slot).named_step != step_) transition(slot, observe::State::unnamed);
  };
  if (rows < requests_->running_count())
    for (const Slot slot : requests_->running()) unnamed(slot);
  for (const Fell& fall : fell_before_)
    if (requests_->alive(fall.seq) && row(SL_SEQ_SLOT(fall.seq)).not_ready == 0) unnamed(SL_SEQ_SLOT(fall.seq));
}

// Counts the steps in a row in which nothing was placed though something could run, or an entry fell and a later one did not.
void Engine::watch_progress() {
  const bool stuck = batch_.empty() && could_run();
  empty_in_a_row_ = stuck ? empty_in_a_row_ + 1 : 0;
  counters_.empty_plans += stuck ? 1 : 0;
  bypassed_in_a_row_ = fell_.empty() ? 0 : bypassed_in_a_row_;
  if (fell_.empty()) return;
  std::uint32_t last_placed = 0;
  for (const Staged& staged : staged_)
    if (!staged.fallen && staged.tokens > 0) last_placed = staged.entry;
  bool bypassed = false;
  for (const Fell& fall : fell_) bypassed = bypassed || fall.entry < last_placed;
  bypassed_in_a_row_ = bypassed ? bypassed_in_a_row_ + 1 : 0;
}

// An admitted sequence gets an executor row, which learns all its tokens.
void Engine::begin_row(Slot slot) {
  const std::uint32_t executor_row = free_rows_.back();
  free_rows_.pop_back();
  const sl_seq_row& r = row(slot);
  const sl_request_row& request = requests_->request_of(slot);
  const bool first = requests_->cold(slot).admitted_ns == 0;
  requests_->admit(slot, executor_row, first ? r.computed : 0, now_ns_);
  requests_->links(slot).begun_step = step_;
  begins_.push_back({executor_row, r.fork, seeds_[r.request], request.prompt_tokens, request.max_tokens,
                     requests_->prompt(slot), requests_->at(slot).generated, stops_[r.request]});
}

// Once its blocks are hung in: those may give way to the tree's own, which send_edits() does not tell of for a row that begins.
void Engine::send_table(Slot slot) {
  const std::uint32_t executor_row = requests_->at(slot).row;
  const std::span<const kv::BlockId> table = cache_->table(slot);
  for (std::uint32_t i = 0; i < table.size(); ++i) changes_.push_back({executor_row, i, table[i]});
}

// What changed in tables. A sequence that begins in this step had its whole table sent.
void Engine::send_edits() {
  for (const kv::TableEdit& edit : cache_->edits()) {
    const std::uint32_t executor_row = requests_->at(edit.slot).row;
    if (executor_row != SL_NONE && requests_->links(edit.slot).begun_step != step_)
      changes_.push_back({executor_row, edit.index, edit.block});
  }
  cache_->edits().clear();
}

}  // namespace serveloop::engine
