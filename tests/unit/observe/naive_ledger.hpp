// The ledger by its definition, nanosecond by nanosecond and sequence by sequence: slow, and easy to believe.
#pragma once

#include <map>
#include <vector>

#include "observe/causes.hpp"

namespace serveloop::observe::test {

class NaiveLedger {
 public:
  void mark(Phase phase, std::uint64_t now);
  void open(int id, std::uint64_t arrival, std::uint64_t ready);
  void enter(int id, State state);
  // `prefill`: (recompute tokens, tokens) of those in state prefill.
  void end_slot(const SlotEnd& end, const std::map<int, std::pair<std::uint32_t, std::uint32_t>>& prefill);
  Times close(int id, std::uint64_t end, State state, bool busy);

 private:
  struct Sequence {
    State state = State::none;
    std::uint64_t counted_to = 0;
    Times times{};
  };
  static bool runs(State state) { return state == State::decode || state == State::prefill; }
  Cause did(std::uint64_t ns) const;
  static Cause waits_for(State state, Cause exhausted);
  std::map<int, Sequence> sequences_;
  std::vector<Phase> doing_;  // by nanosecond since the start
  std::uint64_t slot_start_ = 0;
  Cause exhausted_ = Cause::policy;
};

}  // namespace serveloop::observe::test
