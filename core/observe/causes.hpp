// Where the time of a request goes: a ledger in which every nanosecond has one cause. docs/SIMULATOR.md tells what each
// cause means.
//
// Slot k of a sequence's life runs from the collection of step k-1 to that of step k; in it the sequence has
// the one state that the checked plan k gave it. Sequences of equal state share one running total; each keeps
// a snapshot of it from when it entered, so that a step costs nothing for those whose state does not change
// (law 5). The loop thread's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.hpp"

namespace serveloop::observe {

enum class Cause : std::uint8_t {
  intake,       // until tokenised
  boundary,     // behind the step that was under way
  host_policy,  // running, the device idle for it: the host asked policies
  host_tokens,  // ... took messages and handed out tokens
  host_other,   // ... did its own work
  prefill,
  recompute,
  decode,
  stretched,  // decode beyond the model's time, with others' prefill in the batch
  device,     // decode beyond the model's time, without
  paused,
  reader,
  transfer,
  memory,
  tokens,
  slots,   // refused by the check, or what the step exhausted
  policy,  // held by a policy, or named by none though nothing was exhausted
  count
};
inline constexpr std::size_t kCauses = static_cast<std::size_t>(Cause::count);
const char* name_of(Cause cause);

using Times = std::array<std::int64_t, kCauses>;  // ns
std::int64_t sum(const Times& times);

// What a checked plan made of a sequence. Those before `decode` are times of one cause.
enum class State : std::uint8_t {
  none,
  unnamed,
  held,
  memory,
  tokens,
  slots,
  paused,
  reader,
  transfer,
  decode,
  prefill,
  count
};

// One sequence's side of the ledger.
struct Account {
  State state = State::none;
  std::uint64_t since_ns = 0;  // ready (or resumed): before its first slot
  Times times{};
  Times snapshot{};
};

// What the loop knows when a slot ends.
struct SlotEnd {
  std::uint64_t end_ns = 0;
  std::uint64_t device_start_ns = 0, device_end_ns = 0;  // equal: nothing ran
  std::uint64_t decode_ns = 0;                           // the model's time for the batch's decode rows
  bool prefill_in_batch = false;
  Cause exhausted = Cause::policy;  // what unnamed waiters waited for
};

class Ledger {
 public:
  explicit Ledger(std::uint64_t start_ns) : slot_start_(start_ns), marked_(start_ns) {}

  // The host did `phase` from the last mark until now.
  void mark(Phase phase, std::uint64_t now_ns);

  // A sequence arrived, and was ready to be planned at `ready_ns`.
  void open(Account& account, std::uint64_t arrival_ns, std::uint64_t ready_ns);
  // Its state in the slot that now begins or is under way. A sequence in its first slot may enter late
  // (since_ns).
  void enter(Account& account, State state);
  // Ends the slot: adds its times to the totals of all states. `begin_slot` work (enter) precedes it,
  // add_prefill follows.
  void end_slot(const SlotEnd& end);
  // The last slot's times of a row with a prefill chunk, `recompute_tokens` of its `tokens` below the
  // high-water mark.
  void add_prefill(Account& account, std::uint32_t recompute_tokens, std::uint32_t tokens);
  // The account's times. What passed since the last slot's end (the sequence was cut off amid a slot) belongs
  // to `state`, which the plan of that slot gave it; of a running one to the device if that is `busy` with the
  // slot's step, else to what the host did.
  Times close(Account& account, std::uint64_t end_ns, State state, bool busy);

 private:
  struct Mark {
    Phase phase;
    std::uint64_t from, to;
  };
  Times split(State state, std::uint64_t from_ns, const SlotEnd& end) const;  // of [from_ns, end] in a slot
  void settle(Account& account);

  std::array<Times, static_cast<std::size_t>(State::count)> totals_{};
  std::vector<Mark> marks_;     // of the slot under way; contiguous
  std::vector<Account*> late_;  // entered their first slot after it began
  std::uint64_t slot_start_, marked_;
  std::uint64_t last_start_ = 0;
  SlotEnd last_{};
  std::vector<Mark> last_marks_;
};

}  // namespace serveloop::observe
