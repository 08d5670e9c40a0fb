#include "naive_ledger.hpp"

namespace serveloop::observe::test {

namespace {
std::int64_t& of(Times& times, Cause cause) { return times[static_cast<std::size_t>(cause)]; }
}  // namespace

Cause NaiveLedger::waits_for(State state, Cause exhausted) {
  switch (state) {
    case State::unnamed: return exhausted;
    case State::held: return Cause::policy;
    case State::memory: return Cause::memory;
    case State::tokens: return Cause::tokens;
    case State::slots: return Cause::slots;
    case State::paused: return Cause::paused;
    case State::reader: return Cause::reader;
    default: return Cause::transfer;
  }
}

void NaiveLedger::mark(Phase phase, std::uint64_t now) { doing_.resize(now, phase); }

void NaiveLedger::open(int id, std::uint64_t arrival, std::uint64_t ready) {
  Sequence sequence;
  sequence.counted_to = ready;
  of(sequence.times, Cause::intake) = static_cast<std::int64_t>(ready - arrival);
  sequences_[id] = sequence;
}

void NaiveLedger::enter(int id, State state) {
  Sequence& s = sequences_.at(id);
  if (s.state == State::none)
    for (; s.counted_to < slot_start_; ++s.counted_to) ++of(s.times, Cause::boundary);
  s.state = state;
}

void NaiveLedger::end_slot(const SlotEnd& end,
                           const std::map<int, std::pair<std::uint32_t, std::uint32_t>>& prefill) {
  mark(Phase::other, end.end_ns);
  for (auto& [id, s] : sequences_) {
    if (s.state == State::none) continue;  // its first slot is to come
    std::int64_t device = 0;
    for (; s.counted_to < end.end_ns; ++s.counted_to) {
      if (!runs(s.state))
        ++of(s.times, waits_for(s.state, end.exhausted));
      else if (s.counted_to >= end.device_start_ns && s.counted_to < end.device_end_ns)
        ++device;
      else
        ++of(s.times, did(s.counted_to));
    }
    if (s.state == State::prefill) {
      const auto [recompute, tokens] = prefill.at(id);
      of(s.times, Cause::recompute) += device * recompute / tokens;
      of(s.times, Cause::prefill) += device - device * recompute / tokens;
      continue;
    }
    const std::int64_t model = std::min(device, static_cast<std::int64_t>(end.decode_ns));
    of(s.times, Cause::decode) += model;
    of(s.times, end.prefill_in_batch ? Cause::stretched : Cause::device) += device - model;
  }
  slot_start_ = end.end_ns;
  exhausted_ = end.exhausted;
}

Cause NaiveLedger::did(std::uint64_t ns) const {
  return doing_[ns] == Phase::policy   ? Cause::host_policy
         : doing_[ns] == Phase::tokens ? Cause::host_tokens
                                       : Cause::host_other;
}

Times NaiveLedger::close(int id, std::uint64_t end, State state, bool busy) {
  mark(Phase::other, end);
  Sequence& s = sequences_.at(id);
  for (; s.counted_to < end; ++s.counted_to) {
    const bool planned = state != State::none && s.counted_to >= slot_start_;
    if (s.state == State::none && !planned)
      ++of(s.times, Cause::boundary);
    else if (!runs(state))
      ++of(s.times, waits_for(state, exhausted_));
    else if (busy)
      ++of(s.times, state == State::prefill ? Cause::prefill : Cause::decode);
    else
      ++of(s.times, did(s.counted_to));
  }
  const Times times = s.times;
  sequences_.erase(id);
  return times;
}

}  // namespace serveloop::observe::test
