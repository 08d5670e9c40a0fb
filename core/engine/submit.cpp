// Part 7 of a step: blocks are given in plan order, and one mixed batch goes to the executor.
#include <algorithm>
#include <cassert>

#include "engine/engine.hpp"

namespace serveloop::engine {

void Engine::submit() {
  InFlight flight = begin_batch(staged_.size());
  for (Staged& staged : staged_) {
    if (staged.fallen || (staged.decode && staged.need > 0 && !give_blocks(staged))) continue;
    if (staged.decode)
      add_decode(staged.slot, flight);
    else
      commit(staged, flight);
  }
  end_batch(std::move(flight));
}

// A plan of decodes alone, with a block for each, needs no match and no room. What runs has no block in transit.
bool Engine::decodes_fit() const {
  return plan_decodes_ && plan_count_ <= cache_->tier(SL_TIER_DEVICE).free && !short_soon(plan_count_);
}

// What match() and submit() do for decodes, in one walk over the plan: a step is bound by memory.
void Engine::submit_decodes() {
  begin_match(0);
  placed_tokens_ = plan_count_;
  InFlight flight = begin_batch(plan_count_);
  for (const sl_entry& entry : std::span<const sl_entry>(entries_, plan_count_)) {
    const Slot slot = SL_SEQ_SLOT(entry.seq);
    sl_seq_row& r = row(slot);
    if (last_block_full(r)) cache_->extend(slot, ++r.blocks_device);
    add_decode(slot, flight);
  }
  end_batch(std::move(flight));
}

InFlight Engine::begin_batch(std::size_t most_rows) {
  begins_.clear();
  resumed_.clear();
  changes_.clear();
  batch_.start(most_rows);
  InFlight flight;
  if (!spare_.empty()) {
    flight = std::move(spare_.back());
    spare_.pop_back();
  }
  flight.step = step_;
  flight.is_void = flight.some_ended = false;
  flight.prefill_tokens = 0;
  flight.rows.start(most_rows);
  flight.chunks.clear();
  flight.fills.clear();
  return flight;
}

// The batch goes to the executor, its rows to those in flight.
void Engine::end_batch(InFlight flight) {
  flight.decodes = static_cast<std::uint32_t>(batch_.size() - flight.chunks.size());
  counters_.computed_tokens += flight.decodes + flight.prefill_tokens;
  settle_unnamed(flight.rows.size());
  settle_swapped();
  watch_progress();
  const bool waits = in_flight_.empty() && cache_->copies_pending() > 0;  // nothing runs but copies
  if (batch_.empty() && !waits) {
    spare_.push_back(std::move(flight));
    mark(Phase::other, 0);
    return;
  }
  send_edits();
  list_copies();
  cache_->seal(step_);
  flight.exhausted = exhausted_memory_                         ? observe::Cause::memory
                     : placed_tokens_ >= options_.token_budget ? observe::Cause::tokens
                     : exhausted_slots_ || requests_->running_count() >= options_.max_sequences
                         ? observe::Cause::slots
                     : swapped_lack_memory_ ? observe::Cause::memory
                                            : observe::Cause::policy;
  flight.transitions.clear();
  flight.transitions.swap(transitions_);
  execute::Batch batch{step_,   mode_,    flight.decodes, flight.prefill_tokens,
                       begins_, changes_, copies_,        batch_};
  log(observe::Item::batch, [&](observe::Writer& out) {
    for (const std::uint64_t v :
         {std::uint64_t{batch_.size()}, std::uint64_t{flight.decodes}, std::uint64_t{flight.prefill_tokens},
          std::uint64_t{changes_.size()}, std::uint64_t{copies_.size()}, keys_of_decodes()})
      out.u64(v);
  });
  if (!flight.chunks.empty())
    log(observe::Item::chunks, [&](observe::Writer& out) { encode_chunks(flight, out); });
  mark(Phase::other, static_cast<std::uint32_t>(batch_.size()));
  executor_.submit(batch);
  in_flight_.push_back(std::move(flight));
}

// KV tokens that the batch's decode rows read.
std::uint64_t Engine::keys_of_decodes() const {
  std::uint64_t keys = 0;
  for (const execute::BatchRow& row : batch_) keys += row.decode ? row.start + std::uint64_t{1} : 0;
  return keys;
}

// Whose prefill is in the batch, and what of it is done again: what decodes beside it are stretched by.
void Engine::encode_chunks(const InFlight& flight, observe::Writer& out) const {
  out.u64(flight.chunks.size());
  for (const Chunk& c : flight.chunks)
    for (const std::uint64_t v :
         {c.seq, std::uint64_t{c.start}, std::uint64_t{c.tokens}, std::uint64_t{c.recompute}})
      out.u64(v);
}

void Engine::add_decode(Slot slot, InFlight& flight) {
  sl_seq_row& r = row(slot);
  requests::Sequence& sequence = requests_->at(slot);
  const std::uint32_t start = covered(r);
  if (fills_block(start + 1)) flight.fills.push_back(static_cast<std::uint32_t>(flight.rows.size()));
  flight.rows.add({r.id, sequence.life, 1, true});
  batch_.add({sequence.row, start, 1, true, true});
  sequence.named_step = step_;
  r.in_flight_min = ++r.in_flight_max;
  r.runnable = --r.tokens_left > 0 ? 1 : 0;
  transition(slot, observe::State::decode);
}

// Gives an entry its blocks and its row in the batch.
void Engine::commit(Staged& staged, InFlight& flight) {
  if (staged.verb == SL_SWAP_IN || staged.verb == SL_PREFETCH) return commit_bring_in(staged);
  const Slot slot = staged.slot;
  sl_seq_row& r = row(slot);
  if (staged.planned > r.blocks_device) {  // what earlier entries hung in just now
    pin(slot, staged.planned);
    if (r.blocks_device < staged.planned)
      return fell(staged, SL_REASON_MEMORY);  // the entry it built on fell
  }
  if (staged.blocks > r.blocks_device && !give_blocks(staged)) return;
  cache_->count_hits(slot);
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
  assert(cache_->indexed(slot) <= start / bt && "a block that others may hit is written");
  cache_->index_path(slot, (start + staged.tokens) / bt, unfilled_from(slot), now_ns_);
  if (!samples) ++counters_.split_prompts;
  const std::uint32_t recompute = r.high_water > start ? std::min(staged.tokens, r.high_water - start) : 0;
  flight.rows.add({r.id, sequence.life, staged.tokens, samples});
  flight.chunks.push_back({r.id, start, staged.tokens, recompute});
  batch_.add({sequence.row, start, staged.tokens, samples, false});
  sequence.named_step = step_;
  flight.prefill_tokens += staged.tokens;
  r.in_flight_min = r.in_flight_max += staged.tokens;
  r.tokens_left -= staged.tokens;
  r.runnable = r.runnable - staged.tokens + (samples && r.tokens_left > 0 ? 1 : 0);
  transition(slot, observe::State::prefill);
  counters_.recomputed_tokens += recompute;
  Life& of = life(slot);
  const std::uint32_t of_preemption = of.lost_below > start ? std::min(recompute, of.lost_below - start) : 0;
  of.recomputed_tokens += recompute;
  of.evicted_tokens += recompute - of_preemption;
}

// Sequences that this plan did not name wait for what the step exhausted: running ones left out, and those
// whose entry fell in the step before.
void Engine::settle_unnamed(std::size_t rows) {
  const auto unnamed = [&](Slot slot) {
    if (requests_->at(slot).named_step != step_) transition(slot, observe::State::unnamed);
  };
  if (rows < requests_->running_count())
    for (const Slot slot : requests_->running()) unnamed(slot);
  for (const Fell& fall : fell_before_)
    if (requests_->alive(fall.seq) && row(SL_SEQ_SLOT(fall.seq)).not_ready == 0)
      unnamed(SL_SEQ_SLOT(fall.seq));
}

// Counts the steps in a row in which nothing was placed though something could run, or an entry fell and a
// later one did not.
void Engine::watch_progress() {
  const bool stuck = batch_.empty() && could_run() && cache_->copies_pending() == 0;
  empty_in_a_row_ = stuck ? empty_in_a_row_ + 1 : 0;
  counters_.empty_plans += stuck ? 1 : 0;
  bypassed_in_a_row_ = fell_.empty() ? 0 : bypassed_in_a_row_;
  if (fell_.empty()) return;
  std::uint32_t last_placed = 0;
  for (const Staged& staged : staged_)
    if (!staged.fallen && staged.tokens > 0) last_placed = staged.entry;
  bool bypassed = false;
  for (const Fell& fall :
       fell_)  // who waits for an extent does so by the engine's rule, not by the policy's order
    bypassed = bypassed || (fall.entry < last_placed && fall.reason != SL_REASON_COPY_PENDING &&
                            !(fall.reason == SL_REASON_MEMORY && reservation_ != nullptr));
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
  const std::vector<Token>& known = resumed_.emplace_back(requests_->generated(slot));
  begins_.push_back({executor_row, r.fork, &samplings_[r.request], request.prompt_tokens, request.max_tokens,
                     requests_->prompt(slot), known});
}

// Once its blocks are hung in: those may give way to the tree's own, which send_edits() does not tell of for
// a row that begins.
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
