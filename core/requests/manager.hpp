// The request manager: every sequence from arrival to its end, in the tables that policies read.
//
// Owns the requests, seqs, seqs_cold, running and events tables and the heap; keeps rows, lists and events in
// step with each other. Knows nothing of blocks, executors or plugins. The loop thread's alone.
//
// A sequence's states and what moves it (SL_* of serveloop/rows.h):
//   arrive -> WAITING -admit-> RUNNING -end-> ENDED -reclaim-> FREE
//   RUNNING, RESERVED -preempt-> WAITING, or SWAPPED (its blocks go to host memory)
//   RUNNING, WAITING, RESERVED, SWAPPED -pause-> PAUSED -resume-> RESERVED (holding blocks), SWAPPED or WAITING
//   WAITING, SWAPPED -reserve-> RESERVED
//   SWAPPED -copy_lost-> WAITING
// While blocks of its are being copied it is not ready: transfer ... transferred.
#pragma once

#include <serveloop/reasons.h>
#include <serveloop/view.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/huge_pages.hpp"
#include "base/mapping.hpp"
#include "base/result.hpp"
#include "requests/holds.hpp"
#include "requests/labels.hpp"
#include "requests/sequence.hpp"
#include "requests/spec.hpp"
#include "requests/timers.hpp"
#include "requests/token_store.hpp"

namespace serveloop::requests {

struct Options {
  std::uint32_t max_waiting = 65536;
  std::uint32_t max_sequences = 256;
  std::size_t heap_bytes = std::size_t{8} << 30;  // reserved, not used
  std::uint32_t node_events = 0;  // of the prompt tree, beside those of sequences: at most so many at once
  std::uint32_t slots() const { return max_waiting + 2 * max_sequences; }
};

class Manager {
 public:
  Manager(Mapping& mapping, const Options& options);

  // ---- Lifecycle. All take a live slot; times are the engine's clock.
  bool room(std::uint32_t sequences) const { return free_slots_.size() >= sequences; }
  // Lays out a request and its n sequences, not ready (SL_NOT_READY_UNGATED). Returns their slots in `slots`, by
  // fork. Requires room(n). The prompt was checked and made whole by intake.
  Status arrive(std::uint64_t id, const RequestSpec& spec, std::span<const Token> prompt,
                std::uint32_t max_tokens, const Labels& labels, std::vector<Slot>& slots);
  void clear_not_ready(Slot slot, std::uint16_t bits, std::uint64_t now_ns);  // READY when none is left
  // Parked: not ready while anyone holds it. The row's wake time is the latest of its holders'.
  void park(Slot slot, Holder who, std::uint64_t wake_ns, std::uint16_t reason);
  void release(Slot slot, Holder who, std::uint64_t now_ns);
  void release_all(Slot slot, std::uint64_t now_ns);
  void wake(Slot slot, std::uint64_t now_ns);  // lets go of what was held until now at most
  std::vector<Slot> held_by(Holder who) const { return holds_.held_by(who); }
  void admit(Slot slot, std::uint32_t row, std::uint32_t hit_tokens, std::uint64_t now_ns);
  void reserve(Slot slot);
  // The row's counts are the caller's. `swapped`: its blocks are on their way to host memory.
  void preempt(Slot slot, std::uint16_t reason, sl_seq for_seq, bool swapped, std::uint64_t now_ns);
  void transfer(Slot slot);
  // `blocks` of its are in `tier` now.
  void transferred(Slot slot, std::uint32_t blocks, std::uint16_t tier, std::uint64_t now_ns);
  void copy_lost(Slot slot, std::uint64_t now_ns);
  void pause(Slot slot, std::uint64_t until_ns);
  void resume(Slot slot, bool swapped, std::uint64_t now_ns);  // swapped: it has a host copy
  void end(Slot slot, std::uint32_t finish);
  // Frees the rows of sequences whose end has been told. Call when events were delivered.
  void reclaim();

  // ---- Events for schedulers, gates and preemption policies.
  void event(std::uint16_t kind, sl_seq subject, std::uint64_t a = 0, std::uint64_t b = 0,
             std::uint32_t node = SL_NONE);
  // Pending events, from the `from`th on.
  sl_table events(std::uint32_t from = 0) const { return table_of(events_ + from, event_count_ - from); }
  std::uint32_t event_count() const { return event_count_; }
  std::uint32_t event_capacity() const { return event_capacity_; }
  // Something happened that a policy may answer by letting go of what it holds: more than that something was parked
  // or could not be placed. Until the events so far were told.
  bool stirred() const { return stirred_; }
  void told_all() { stirred_ = false; }
  bool any_held() const { return !holds_.empty(); }
  void forget_events(std::uint32_t count);  // the oldest

  // ---- Time: deadlines and wake times.
  Timers& timers() { return timers_; }
  std::uint64_t next_wake_ns();  // of a sequence that lives and still waits for it; SL_NEVER if there is none

  // ---- Rows.
  sl_seq_row& row(Slot slot) { return seqs_[slot]; }
  const sl_seq_row& row(Slot slot) const { return seqs_[slot]; }
  sl_seq_cold_row& cold(Slot slot) { return cold_[slot]; }
  sl_request_row& request_of(Slot slot) { return requests_[seqs_[slot].request]; }
  const sl_request_row& request_of(Slot slot) const { return requests_[seqs_[slot].request]; }
  Sequence& at(Slot slot) { return sequences_[slot]; }
  const Sequence& at(Slot slot) const { return sequences_[slot]; }
  Checked& checked(Slot slot) { return checked_[slot]; }
  void prefetch(Slot slot) const {
    __builtin_prefetch(&seqs_[slot], 1);
    __builtin_prefetch(&cold_[slot], 1);
    __builtin_prefetch(&sequences_[slot], 1);
  }
  // Its generated tokens.
  void add_token(Slot slot, Token token) { tokens_.push(sequences_[slot].generated, token); }
  std::vector<Token> generated(Slot slot) const { return tokens_.all(sequences_[slot].generated); }
  // What it knows, from token `from` of its prompt and output on. Requires that it knows as many.
  void copy_tokens(Slot slot, std::uint32_t from, std::span<Token> into) const;
  void prefetch_tokens(Slot slot) const { tokens_.prefetch(sequences_[slot].generated); }
  void prefetch_newest(Slot slot) const { tokens_.prefetch_newest(sequences_[slot].generated); }
  Links& links(Slot slot) { return links_[slot]; }
  const Links& links(Slot slot) const { return links_[slot]; }
  bool alive(sl_seq id) const {
    const Slot slot = SL_SEQ_SLOT(id);
    return slot < slot_count_ && seqs_[slot].id == id && seqs_[slot].state != SL_FREE &&
           seqs_[slot].state != SL_ENDED;
  }
  std::span<const Token> prompt(Slot slot) const {
    const sl_request_row& r = request_of(slot);
    return {reinterpret_cast<const Token*>(heap_.data() + r.prompt_at), r.prompt_tokens};
  }

  // ---- Who is where.
  std::span<const std::uint32_t> running() {
    compact_running();
    return {running_, running_count_};
  }
  std::uint32_t running_count() const { return running_live_; }
  Slot first_ready() const { return ready_head_; }  // SL_NONE when there is none
  Slot next_ready(Slot slot) const { return links_[slot].ready_next; }
  std::uint32_t ready_count() const { return ready_count_; }
  std::uint32_t waiting_count() const { return waiting_; }  // neither running nor ended
  std::uint32_t live_count() const { return live_; }
  const std::vector<Slot>& holders() const { return holders_; }  // hold blocks, do not run
  void set_holder(Slot slot, bool holds);

  // ---- For views.
  sl_table seq_table() const { return table_of(seqs_, slot_count_); }
  sl_table cold_table() const { return table_of(cold_, slot_count_); }
  sl_table request_table() const { return table_of(requests_, slot_count_); }
  sl_table running_table() {
    compact_running();
    return table_of(running_, running_count_);
  }
  const std::uint8_t* heap() const { return heap_.data(); }
  std::uint32_t capacity() const { return capacity_; }
  std::vector<Slot> live_slots() const;  // by arrival; for audits and tests
  // A walk over the live sequences, by arrival, that goes on while they come and end: one at a time.
  void start_walk() { walk_ = live_head_; }
  Slot walk() const { return walk_; }  // SL_NONE at the end
  void step_walk() { walk_ = links_[walk_].live_next; }
  std::uint64_t next_serial() const { return next_serial_; }

 private:
  Slot lay_out_sequence(std::uint32_t request, std::uint32_t fork, bool has_stops);
  void ready_push(Slot slot, bool front);
  void ready_remove(Slot slot);
  void stop_running(Slot slot);
  void compact_running();
  void update_ready(Slot slot, bool front);
  std::uint16_t settle_holds(Slot slot);
  bool stale(const Timer& timer) const;
  void live_push(Slot slot);
  void live_remove(Slot slot);
  std::uint64_t store(const void* bytes, std::size_t size);  // Heap::npos: no room
  void drop(std::uint64_t at, std::size_t size);             // of store(), npos too
  void release_request(std::uint32_t request);

  static constexpr std::size_t kExpectedTokens = 1024;  // that a running sequence generates

  std::uint32_t capacity_;
  sl_seq_row* seqs_;
  sl_seq_cold_row* cold_;
  sl_request_row* requests_;
  std::uint32_t* running_;
  sl_event* events_;
  std::uint32_t event_capacity_, event_count_ = 0;
  bool stirred_ = false;
  Heap heap_;
  HugeVector<Sequence> sequences_;
  HugeVector<Checked> checked_;
  TokenStore tokens_;
  HugeVector<Links> links_;
  std::vector<Slot> free_slots_, free_requests_, ended_, holders_;
  Holds holds_;
  Timers timers_;
  std::uint32_t slot_count_ = 0;  // slots ever used: the tables' length
  std::uint32_t running_count_ = 0, running_live_ = 0, ready_count_ = 0, waiting_ = 0, live_ = 0;
  Slot ready_head_ = SL_NONE, ready_tail_ = SL_NONE;
  Slot live_head_ = SL_NONE, live_tail_ = SL_NONE, walk_ = SL_NONE;
  bool running_dirty_ = false;
  std::uint64_t next_serial_ = 1;
};

}  // namespace serveloop::requests
