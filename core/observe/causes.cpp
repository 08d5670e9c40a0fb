// Invariant: for every open account, times + (totals[state] - snapshot) covers [arrival, last slot's end]
// exactly once.
#include "observe/causes.hpp"

#include <algorithm>
#include <utility>

namespace serveloop::observe {

const char* name_of(Cause cause) {
  static constexpr const char* kNames[] = {"intake",  "boundary",  "host policy", "host tokens", "host other",
                                           "prefill", "recompute", "decode",      "stretched",   "device",
                                           "paused",  "reader",    "transfer",    "memory",      "tokens",
                                           "slots",   "policy"};
  static_assert(std::size(kNames) == kCauses);
  return kNames[static_cast<std::size_t>(cause)];
}

std::int64_t sum(const Times& times) {
  std::int64_t total = 0;
  for (const std::int64_t t : times) total += t;
  return total;
}

namespace {

std::int64_t& of(Times& times, Cause cause) { return times[static_cast<std::size_t>(cause)]; }

void add(Times& to, const Times& what, int sign) {
  for (std::size_t i = 0; i < kCauses; ++i) to[i] += sign * what[i];
}

std::int64_t overlap(std::uint64_t a0, std::uint64_t a1, std::uint64_t b0, std::uint64_t b1) {
  const std::uint64_t from = std::max(a0, b0), to = std::min(a1, b1);
  return to > from ? static_cast<std::int64_t>(to - from) : 0;
}

Cause host_cause(Phase phase) {
  switch (phase) {
    case Phase::policy: return Cause::host_policy;
    case Phase::tokens: return Cause::host_tokens;
    default: return Cause::host_other;
  }
}

Cause waiting_cause(State state, Cause exhausted) {
  switch (state) {
    case State::memory: return Cause::memory;
    case State::tokens: return Cause::tokens;
    case State::slots: return Cause::slots;
    case State::paused: return Cause::paused;
    case State::reader: return Cause::reader;
    case State::transfer: return Cause::transfer;
    case State::held: return Cause::policy;
    default: return exhausted;
  }
}

bool waits(State state) { return state != State::decode && state != State::prefill; }

}  // namespace

void Ledger::mark(Phase phase, std::uint64_t now_ns) {
  if (now_ns == marked_) return;
  marks_.push_back({phase, marked_, now_ns});
  marked_ = now_ns;
}

void Ledger::open(Account& account, std::uint64_t arrival_ns, std::uint64_t ready_ns) {
  account = {};
  account.since_ns = ready_ns;
  of(account.times, Cause::intake) = static_cast<std::int64_t>(ready_ns - arrival_ns);
}

void Ledger::settle(Account& account) {
  if (account.state == State::none || account.state == State::prefill) return;
  const Times& total = totals_[static_cast<std::size_t>(account.state)];
  for (std::size_t i = 0; i < kCauses; ++i) account.times[i] += total[i] - account.snapshot[i];
  account.snapshot = total;
}

void Ledger::enter(Account& account, State state) {
  settle(account);
  if (account.state == State::none) {  // its first slot
    if (account.since_ns <= slot_start_)
      of(account.times, Cause::boundary) += static_cast<std::int64_t>(slot_start_ - account.since_ns);
    else
      late_.push_back(&account);
  }
  account.state = state;
  if (state != State::prefill) account.snapshot = totals_[static_cast<std::size_t>(state)];
}

// A running sequence's time in [from, end]: what the device gave it, and for the rest what the host was
// doing.
Times Ledger::split(State state, std::uint64_t from_ns, const SlotEnd& end) const {
  Times times{};
  if (waits(state)) {
    of(times, waiting_cause(state, end.exhausted)) = static_cast<std::int64_t>(end.end_ns - from_ns);
    return times;
  }
  for (const Mark& mark : marks_) {
    const std::uint64_t begin = std::max(mark.from, from_ns);
    if (begin >= mark.to) continue;
    of(times, host_cause(mark.phase)) += static_cast<std::int64_t>(mark.to - begin) -
                                         overlap(begin, mark.to, end.device_start_ns, end.device_end_ns);
  }
  const std::int64_t device = overlap(from_ns, end.end_ns, end.device_start_ns, end.device_end_ns);
  const std::int64_t model = std::min(device, static_cast<std::int64_t>(end.decode_ns));
  of(times, Cause::decode) = model;
  of(times, end.prefill_in_batch ? Cause::stretched : Cause::device) += device - model;
  return times;
}

void Ledger::end_slot(const SlotEnd& end) {
  mark(Phase::other, end.end_ns);
  const Times running = split(State::decode, slot_start_, end);
  add(totals_[static_cast<std::size_t>(State::decode)], running, 1);
  for (auto state = static_cast<std::size_t>(State::unnamed); state < static_cast<std::size_t>(State::decode);
       ++state)
    of(totals_[state], waiting_cause(static_cast<State>(state), end.exhausted)) +=
        static_cast<std::int64_t>(end.end_ns - slot_start_);
  for (Account* late : late_) {  // gets only what remained of the slot when it came
    const State state = late->state;
    if (state == State::none || state == State::prefill) continue;
    add(late->times, split(state, late->since_ns, end), 1);
    add(late->times, split(state, slot_start_, end), -1);
  }
  late_.clear();
  last_ = end;
  last_start_ = slot_start_;
  std::swap(last_marks_, marks_);
  marks_.clear();
  slot_start_ = end.end_ns;
}

void Ledger::add_prefill(Account& account, std::uint32_t recompute_tokens, std::uint32_t tokens) {
  std::swap(marks_, last_marks_);
  Times times = split(State::decode, std::max(last_start_, account.since_ns), last_);
  std::swap(marks_, last_marks_);
  std::int64_t device = 0;
  for (const Cause cause : {Cause::decode, Cause::stretched, Cause::device})
    device += std::exchange(of(times, cause), 0);
  const std::int64_t recompute =
      tokens == 0 ? 0 : device / tokens * recompute_tokens + device % tokens * recompute_tokens / tokens;
  of(times, Cause::recompute) = recompute;
  of(times, Cause::prefill) = device - recompute;
  add(account.times, times, 1);
}

Times Ledger::close(Account& account, std::uint64_t end_ns, State state, bool busy) {
  settle(account);
  std::erase(late_, &account);
  std::uint64_t from_ns = std::max(slot_start_, account.since_ns);
  if (account.state == State::none) {  // never in a slot that ended
    const std::uint64_t planned_ns = state == State::none ? end_ns : std::min(end_ns, from_ns);
    of(account.times, Cause::boundary) += static_cast<std::int64_t>(planned_ns - account.since_ns);
    from_ns = planned_ns;
  }
  if (end_ns > from_ns) {
    mark(Phase::other, end_ns);
    if (busy && !waits(state))
      of(account.times, state == State::prefill ? Cause::prefill : Cause::decode) +=
          static_cast<std::int64_t>(end_ns - from_ns);
    else
      add(account.times, split(state, from_ns, {end_ns, 0, 0, 0, false, last_.exhausted}), 1);
  }
  account.state = State::none;
  return account.times;
}

}  // namespace serveloop::observe
