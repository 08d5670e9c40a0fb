// Part 8 of a step: what step k - lag brought. Tokens, ends, generated blocks for the prompt tree, and where
// the time went.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>

#include "engine/engine.hpp"
#include "engine/records.hpp"

namespace serveloop::engine {

void Engine::collect() {
  const execute::Collected done = executor_.collect();
  now();
  InFlight flight = std::move(in_flight_.front());
  in_flight_.pop_front();
  collect_copies(done);
  last_step_ns_ = done.device_end_ns - done.device_start_ns;
  counters_.device_ns += last_step_ns_;
  counters_.batch_rows += flight.rows.size();
  const int bucket = flight.rows.size() > 1 ? std::bit_width(flight.rows.size() - 1) : 0;
  if (!flight.rows.empty())
    ++counters_.batch_sizes[std::min<std::size_t>(static_cast<std::size_t>(bucket),
                                                  counters_.batch_sizes.size() - 1)];
  close_slot(flight, done);
  Shares shares{last_step_ns_, flight.decodes + flight.prefill_tokens};
  if (done.failed || flight.is_void || flight.some_ended) {
    bill_the_living(flight);
    shares = {0, 1};
  }
  if (done.failed || flight.is_void) {
    fail_step(flight, done);
  } else {
    failed_in_a_row_ = 0;
    cache_->filled(flight.step);
    delivered_.clear();
    wants_tokens_ = output_.wants_tokens();
    std::size_t fill = 0;
    prefetch_fills(flight, fill);
    for (std::size_t i = 0; i < flight.rows.size(); ++i) {
      prefetch(flight.rows, i);
      if (fill < flight.fills.size() && i == flight.fills[fill]) prefetch_fills(flight, ++fill);
      collect_row(flight.step, flight.rows[i], done.tokens[i], shares.of(flight.rows[i].tokens),
                  done.logprobs.empty() ? std::span<const TokenLogprob>() : done.logprobs[i]);
    }
    deliver();
  }
  requests_->event(SL_EV_STEP_END, flight.step, last_step_ns_, flight.rows.size());
  mark(Phase::tokens, static_cast<std::uint32_t>(flight.rows.size()));
  spare_.push_back(std::move(flight));
}

// A step's device time is shared by tokens among those of its sequences that live when it comes back.
void Engine::bill_the_living(const InFlight& flight) {
  std::uint32_t tokens = 0;
  for (const RowInFlight& r : flight.rows) tokens += requests_->alive(r.seq) ? r.tokens : 0;
  Shares shares{last_step_ns_, tokens};
  if (tokens == 0) counters_.unbilled_ns += last_step_ns_;
  for (const RowInFlight& r : flight.rows)
    if (requests_->alive(r.seq)) requests_->cold(SL_SEQ_SLOT(r.seq)).service_ns += shares.of(r.tokens);
}

// Rows ahead of the one at hand are on their way into the cache: a step is bound by memory latency. Their
// last tokens lie one hop further.
void Engine::prefetch(const Buffer<RowInFlight>& rows, std::size_t at) const {
  if (at + kAhead < rows.size()) requests_->prefetch(SL_SEQ_SLOT(rows[at + kAhead].seq));
  if (at + kAhead / 2 < rows.size()) requests_->prefetch_tokens(SL_SEQ_SLOT(rows[at + kAhead / 2].seq));
}

// The few that fill a block hang it into the tree: a chain of three hops, each asked for while one before it is worked on.
void Engine::prefetch_fills(const InFlight& flight, std::size_t next) const {
  const auto slot = [&](std::size_t i) { return SL_SEQ_SLOT(flight.rows[flight.fills[i]].seq); };
  if (next + 2 < flight.fills.size()) cache_->prefetch(slot(next + 2));
  if (next + 1 < flight.fills.size()) cache_->prefetch_end(slot(next + 1));
  if (next >= flight.fills.size()) return;
  cache_->prefetch_block(slot(next));
  requests_->prefetch_newest(slot(next));
}

// What came so far; a sequence's tokens leave before its end does.
void Engine::deliver() {
  if (!delivered_.empty()) output_.tokens(delivered_);
  delivered_.clear();
}

void Engine::collect_row(std::uint64_t step, const RowInFlight& in, Token token, std::uint64_t share_ns,
                         std::span<const TokenLogprob> logprobs) {
  if (!requests_->alive(in.seq)) {  // it ended in flight: nothing of this counts
    counters_.void_tokens += in.samples ? 1 : 0;
    return;
  }
  const Slot slot = SL_SEQ_SLOT(in.seq);
  sl_seq_row& r = row(slot);
  sl_seq_cold_row& cold = requests_->cold(slot);
  cold.service_ns += share_ns;
  cold.last_step = step;
  // Else preempted in flight: the token stays, its KV is gone.
  const bool kept = requests_->at(slot).life == in.life;
  if (kept) {
    const std::uint32_t before = r.computed;
    r.in_flight_min = r.in_flight_max -= in.tokens;
    r.computed += in.tokens;
    r.high_water = std::max(r.high_water, r.computed);
    if (before >> block_shift_ != r.computed >> block_shift_) index_whole_blocks(slot, before);
  }
  if (in.samples) take_token(slot, token, kept, logprobs);
}

void Engine::take_token(Slot slot, Token token, bool kept, std::span<const TokenLogprob> logprobs) {
  sl_seq_row& r = row(slot);
  sl_seq_cold_row& cold = requests_->cold(slot);
  requests::Sequence& sequence = requests_->at(slot);
  requests_->add_token(slot, token);
  std::uint64_t gap = 0;
  if (++r.generated == 1) {
    cold.first_token_ns = now_ns_;
    requests_->event(SL_EV_FIRST_TOKEN, r.id);
  } else {
    gap = now_ns_ - cold.last_token_ns;
    sequence.longest_gap_ns = std::max(sequence.longest_gap_ns, gap);
  }
  cold.last_token_ns = now_ns_;
  if (!kept) ++r.runnable;
  ++counters_.output_tokens;
  if (wants_tokens_)
    delivered_.push_back(
        {requests_->request_of(slot).request, r.fork, r.generated - 1, token, gap, logprobs});
  if (sequence.has_stops && is_stop(r, token))
    end_sequence(slot, SL_FINISH_STOP, SL_REASON_NONE);
  else if (r.generated == sequence.max_tokens)
    end_sequence(slot, SL_FINISH_LENGTH, SL_REASON_NONE);
}

bool Engine::is_stop(const sl_seq_row& r, Token token) const {
  const Sampling& how = samplings_[r.request];
  return r.generated > how.min_tokens &&
         std::find(how.stop_ids.begin(), how.stop_ids.end(), token) != how.stop_ids.end();
}

// Blocks that hold generated tokens join the prompt tree when they are whole; prompt blocks did so at submit.
void Engine::index_whole_blocks(Slot slot, std::uint32_t computed_before) {
  const std::uint32_t bt = options_.block_tokens;
  sl_seq_row& r = row(slot);
  const std::uint32_t prompt_blocks = requests_->checked(slot).prompt_tokens / bt;
  block_.resize(bt);
  for (std::uint32_t index = std::max(prompt_blocks, computed_before / bt); index < r.computed / bt;
       ++index) {
    requests_->copy_tokens(slot, index * bt, block_);
    cache_->index_generated(slot, index, block_, now_ns_);
  }
  r.node = cache_->node_of(slot);
}

// Slot k ends here: every sequence's time since the last collection gets its cause.
void Engine::close_slot(InFlight& flight, const execute::Collected& done) {
  for (const Transition& t : flight.transitions)
    if (requests_->alive(t.seq)) ledger_.enter(life(SL_SEQ_SLOT(t.seq)).account, t.state);
  ledger_.end_slot({now_ns_, done.device_start_ns, done.device_end_ns, done.decode_ns,
                    flight.prefill_tokens > 0, flight.exhausted});
  for (const Chunk& c : flight.chunks)
    if (requests_->alive(c.seq)) ledger_.add_prefill(life(SL_SEQ_SLOT(c.seq)).account, c.recompute, c.tokens);
}

// Nothing ran since the last slot ended, or time passed without work.
void Engine::close_idle_slot() {
  for (const Transition& t : transitions_)
    if (requests_->alive(t.seq)) ledger_.enter(life(SL_SEQ_SLOT(t.seq)).account, t.state);
  transitions_.clear();
  ledger_.end_slot({now_ns_, 0, 0, 0, false, observe::Cause::policy});
}

void Engine::all_recompute() {
  std::vector<Slot> all(requests_->running().begin(), requests_->running().end());
  all.insert(all.end(), requests_->holders().begin(), requests_->holders().end());
  staged_.clear();
  for (const Slot slot : all)
    yield(slot, {SL_YIELD_RECOMPUTE, 0, SL_REASON_STEP_FAILED, YieldBy::failed_step, SL_NO_SEQ});
}

// A failed step's KV is garbage, and so is what later steps in flight built on it: everyone computes again,
// no token is lost.
void Engine::fail_step(InFlight& flight, const execute::Collected& done) {
  if (done.failed) {
    ++counters_.failed_steps;
    failed_in_a_row_ += flight.is_void ? 0 : 1;  // one behind a failed step fails with it
    incident(fmt::format("step {} failed: {}; its sequences recompute", flight.step, done.why));
    if (!flight.is_void) all_recompute();
    if (!flight.is_void &&
        failed_in_a_row_ >= kGiveUpAfter)  // its sequences may be the cause: let the others live
      for (const RowInFlight& r : flight.rows)
        if (requests_->alive(r.seq)) end_sequence(SL_SEQ_SLOT(r.seq), SL_FINISH_ERROR, SL_REASON_STEP_FAILED);
  }
  cache_->failed(flight.step);
  take_transfers();
  if (flight.is_void)
    return;  // the failure it built on voided what was in flight then; later steps began anew
  for (InFlight& later : in_flight_) {
    later.is_void = true;
    cache_->failed(later.step);
  }
}

}  // namespace serveloop::engine
