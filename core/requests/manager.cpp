// Invariants: ready list = waiting, reserved or swapped sequences with not_ready == 0; running_[at(s).running_at] == s
// for running sequences; holders_ = sequences that hold blocks and do not run; a slot is reused only after
// its end was told.
#include "requests/manager.hpp"

#include <algorithm>
#include <cassert>

namespace serveloop::requests {

static_assert(sizeof(sl_seq_row) == 64, "the hot row is one cache line");

Manager::Manager(Mapping& mapping, const Options& options)
    : capacity_(options.slots()),
      seqs_(mapping.lay_out_resident<sl_seq_row>(capacity_)),
      cold_(mapping.lay_out_resident<sl_seq_cold_row>(capacity_)),
      requests_(mapping.lay_out_resident<sl_request_row>(capacity_)),
      running_(mapping.lay_out<std::uint32_t>(std::size_t{2} * options.max_sequences + 1)),
      events_(mapping.lay_out<sl_event>(std::size_t{8} * capacity_ + 4096 + options.node_events)),
      event_capacity_(8 * capacity_ + 4096 + options.node_events),
      heap_(mapping, options.heap_bytes),
      tokens_(std::size_t{options.max_sequences} * kExpectedTokens) {
  sequences_.resize(capacity_);
  checked_.resize(capacity_);
  links_.resize(capacity_);
  for (Slot slot = capacity_; slot-- > 0;) {
    free_slots_.push_back(slot);
    free_requests_.push_back(slot);
  }
}

void Manager::event(std::uint16_t kind, sl_seq subject, std::uint64_t a, std::uint64_t b,
                    std::uint32_t node) {
  stirred_ = stirred_ || (kind != SL_EV_PARKED && kind != SL_EV_FELL && kind != SL_EV_NODE_CHANGED &&
                          kind != SL_EV_NODE_GONE && kind != SL_EV_SPLIT);
  // It is lost: only after calls that failed in a row, and so kept theirs.
  if (event_count_ == event_capacity_) return;
  events_[event_count_++] = {kind, 0, node, subject, a, b};
}

void Manager::forget_events(std::uint32_t count) {
  assert(count <= event_count_);
  std::copy(events_ + count, events_ + event_count_, events_);
  event_count_ -= count;
}

namespace {
bool may_be_ready(const sl_seq_row& row) {
  return row.state == SL_WAITING || row.state == SL_RESERVED || row.state == SL_SWAPPED;
}
}  // namespace

void Manager::update_ready(Slot slot, bool front) {
  const sl_seq_row& row = seqs_[slot];
  const bool ready = may_be_ready(row) && row.not_ready == 0;
  if (ready && !links_[slot].in_ready) ready_push(slot, front);
  if (!ready && links_[slot].in_ready) ready_remove(slot);
}

void Manager::clear_not_ready(Slot slot, std::uint16_t bits, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if ((row.not_ready & bits) == 0) return;
  row.not_ready = static_cast<std::uint16_t>(row.not_ready & ~bits);
  if (row.not_ready != 0) return;
  cold_[slot].ready_ns = now_ns;
  update_ready(slot, false);
  if (may_be_ready(row)) event(SL_EV_READY, row.id);
}

// The row's bits and wake time from who holds the sequence; returns the bits that nobody holds up any more.
std::uint16_t Manager::settle_holds(Slot slot) {
  constexpr std::uint16_t kBoth = SL_NOT_READY_GATE | SL_NOT_READY_PARKED;
  std::uint16_t held = 0;
  std::uint64_t latest = 0;
  holds_.each(slot, [&](const Hold& hold) {
    held |= hold.who == kScheduler ? SL_NOT_READY_PARKED : SL_NOT_READY_GATE;
    latest = std::max(latest, hold.wake_ns);
  });
  cold_[slot].wake_ns = held == 0 ? SL_NEVER : latest;
  seqs_[slot].not_ready |= held;
  return static_cast<std::uint16_t>(kBoth & ~held);
}

void Manager::release(Slot slot, Holder who, std::uint64_t now_ns) {
  holds_.erase(slot, [&](const Hold& hold) { return hold.who == who; });
  clear_not_ready(slot, settle_holds(slot), now_ns);
}

void Manager::release_all(Slot slot, std::uint64_t now_ns) {
  holds_.erase(slot, [](const Hold&) { return true; });
  clear_not_ready(slot, settle_holds(slot), now_ns);
}

void Manager::wake(Slot slot, std::uint64_t now_ns) {
  holds_.erase(slot, [&](const Hold& hold) { return hold.wake_ns <= now_ns; });
  clear_not_ready(slot, settle_holds(slot), now_ns);
}

void Manager::park(Slot slot, Holder who, std::uint64_t wake_ns, std::uint16_t reason) {
  holds_.set(slot, who, wake_ns);
  settle_holds(slot);
  update_ready(slot, false);
  timers_.add({wake_ns, seqs_[slot].id, Timer::wake});
  event(SL_EV_PARKED, seqs_[slot].id, wake_ns, reason);
}

void Manager::admit(Slot slot, std::uint32_t row, std::uint32_t hit_tokens, std::uint64_t now_ns) {
  Sequence& sequence = sequences_[slot];
  ready_remove(slot);
  set_holder(slot, false);
  seqs_[slot].state = SL_RUNNING;
  sequence.row = row;
  compact_running();
  links_[slot].running_at = running_count_;
  running_[running_count_++] = slot;
  ++running_live_;
  --waiting_;
  if (cold_[slot].admitted_ns == 0) cold_[slot].admitted_ns = now_ns;
  event(SL_EV_ADMITTED, seqs_[slot].id, hit_tokens);
}

void Manager::reserve(Slot slot) {
  seqs_[slot].state = SL_RESERVED;
  set_holder(slot, true);
}

void Manager::stop_running(Slot slot) {
  Sequence& sequence = sequences_[slot];
  running_[links_[slot].running_at] = SL_NONE;
  links_[slot].running_at = SL_NONE;
  sequence.row = SL_NONE;
  running_dirty_ = true;
  --running_live_;
  ++waiting_;
}

void Manager::compact_running() {
  if (!running_dirty_) return;
  std::uint32_t to = 0;
  for (std::uint32_t from = 0; from < running_count_; ++from) {
    const Slot slot = running_[from];
    if (slot == SL_NONE) continue;
    running_[to] = slot;
    links_[slot].running_at = to++;
  }
  std::fill(running_ + to, running_ + running_count_, 0);
  running_count_ = to;
  running_dirty_ = false;
}

void Manager::preempt(Slot slot, std::uint16_t reason, sl_seq for_seq, bool swapped, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) stop_running(slot);
  if (row.state != SL_PAUSED) row.state = swapped ? SL_SWAPPED : SL_WAITING;
  // What was arriving for it is given up with all that it held.
  row.not_ready = static_cast<std::uint16_t>(row.not_ready & ~SL_NOT_READY_TRANSFER);
  if (swapped) row.not_ready |= SL_NOT_READY_TRANSFER;
  ++sequences_[slot].life;
  ++row.preemptions;
  cold_[slot].ready_ns = now_ns;
  update_ready(slot, true);
  event(SL_EV_PREEMPTED, row.id, reason, for_seq);
}

void Manager::transfer(Slot slot) {
  seqs_[slot].not_ready |= SL_NOT_READY_TRANSFER;
  update_ready(slot, false);
  event(SL_EV_IN_TRANSIT, seqs_[slot].id);
}

void Manager::transferred(Slot slot, std::uint32_t blocks, std::uint16_t tier, std::uint64_t now_ns) {
  event(SL_EV_TRANSFERRED, seqs_[slot].id, blocks, tier);
  if ((seqs_[slot].not_ready & SL_NOT_READY_TRANSFER) != 0)
    clear_not_ready(slot, SL_NOT_READY_TRANSFER, now_ns);
  else if (links_[slot].in_ready)  // it was there at once: may be named by another verb
    event(SL_EV_READY, seqs_[slot].id);
}

void Manager::copy_lost(Slot slot, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_SWAPPED) row.state = SL_WAITING;
  transferred(slot, 0, SL_TIER_NONE, now_ns);
}

void Manager::pause(Slot slot, std::uint64_t until_ns) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) {
    stop_running(slot);
    set_holder(slot, true);
  }
  row.state = SL_PAUSED;
  row.not_ready |= SL_NOT_READY_PAUSED;
  cold_[slot].pause_until_ns = until_ns;
  update_ready(slot, false);
  event(SL_EV_PAUSED, row.id, until_ns);
}

void Manager::resume(Slot slot, bool swapped, std::uint64_t now_ns) {
  sl_seq_row& row = seqs_[slot];
  const bool holds_blocks = row.blocks_device > 0;
  row.state = holds_blocks ? SL_RESERVED : swapped ? SL_SWAPPED : SL_WAITING;
  row.not_ready = static_cast<std::uint16_t>(row.not_ready & ~SL_NOT_READY_PAUSED);
  cold_[slot].pause_until_ns = SL_NEVER;
  cold_[slot].ready_ns = now_ns;
  update_ready(slot, true);
  event(SL_EV_RESUMED, row.id, holds_blocks ? 1 : 0);
}

void Manager::end(Slot slot, std::uint32_t finish) {
  sl_seq_row& row = seqs_[slot];
  if (row.state == SL_RUNNING) stop_running(slot);
  if (links_[slot].in_ready) ready_remove(slot);
  set_holder(slot, false);
  holds_.erase(slot, [](const Hold&) { return true; });
  live_remove(slot);
  row.state = SL_ENDED;
  --waiting_;
  ended_.push_back(slot);
  event(SL_EV_ENDED, row.id, finish, row.generated);
}

void Manager::set_holder(Slot slot, bool holds) {
  std::uint32_t& at = links_[slot].holder_at;
  if (holds == (at != SL_NONE)) return;
  if (holds) {
    at = static_cast<std::uint32_t>(holders_.size());
    holders_.push_back(slot);
    return;
  }
  const Slot last = holders_.back();
  holders_[at] = last;
  links_[last].holder_at = at;
  holders_.pop_back();
  at = SL_NONE;
}

void Manager::ready_push(Slot slot, bool front) {
  Links& links = links_[slot];
  links.in_ready = true;
  links.ready_prev = front ? SL_NONE : ready_tail_;
  links.ready_next = front ? ready_head_ : SL_NONE;
  (links.ready_prev == SL_NONE ? ready_head_ : links_[links.ready_prev].ready_next) = slot;
  (links.ready_next == SL_NONE ? ready_tail_ : links_[links.ready_next].ready_prev) = slot;
  ++ready_count_;
}

void Manager::ready_remove(Slot slot) {
  Links& links = links_[slot];
  if (!links.in_ready) return;
  (links.ready_prev == SL_NONE ? ready_head_ : links_[links.ready_prev].ready_next) = links.ready_next;
  (links.ready_next == SL_NONE ? ready_tail_ : links_[links.ready_next].ready_prev) = links.ready_prev;
  links.in_ready = false;
  links.ready_prev = links.ready_next = SL_NONE;
  --ready_count_;
}

void Manager::copy_tokens(Slot slot, std::uint32_t from, std::span<Token> into) const {
  const std::uint32_t prompt_tokens = checked_[slot].prompt_tokens;
  if (from < prompt_tokens) {
    const std::size_t of_prompt = std::min<std::size_t>(prompt_tokens - from, into.size());
    std::copy_n(prompt(slot).begin() + from, of_prompt, into.begin());
    into = into.subspan(of_prompt);
    from = prompt_tokens;
  }
  if (!into.empty()) tokens_.copy(sequences_[slot].generated, from - prompt_tokens, into);
}

void Manager::live_push(Slot slot) {
  Links& links = links_[slot];
  links.live_prev = live_tail_;
  links.live_next = SL_NONE;
  (live_tail_ == SL_NONE ? live_head_ : links_[live_tail_].live_next) = slot;
  live_tail_ = slot;
  ++live_;
}

void Manager::live_remove(Slot slot) {
  const Links& links = links_[slot];
  if (walk_ == slot) walk_ = links.live_next;
  (links.live_prev == SL_NONE ? live_head_ : links_[links.live_prev].live_next) = links.live_next;
  (links.live_next == SL_NONE ? live_tail_ : links_[links.live_next].live_prev) = links.live_prev;
  --live_;
}

std::vector<Slot> Manager::live_slots() const {
  std::vector<Slot> slots;
  for (Slot slot = live_head_; slot != SL_NONE; slot = links_[slot].live_next) slots.push_back(slot);
  return slots;
}

bool Manager::stale(const Timer& timer) const {
  if (!alive(timer.seq)) return true;
  if (timer.why == Timer::deadline) return false;
  bool waited_for = false;
  holds_.each(SL_SEQ_SLOT(timer.seq),
              [&](const Hold& hold) { waited_for = waited_for || hold.wake_ns == timer.at_ns; });
  return !waited_for;
}

std::uint64_t Manager::next_wake_ns() {
  timers_.prune([this](const Timer& timer) { return stale(timer); });
  return timers_.next_ns();
}

}  // namespace serveloop::requests
