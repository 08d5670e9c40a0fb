// What a step carries from its plan to its collection. Private to core/engine.
#pragma once

#include <serveloop/scheduler.h>
#include <serveloop/view.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/buffer.hpp"
#include "observe/causes.hpp"
#include "requests/manager.hpp"

namespace serveloop::engine {

using requests::Slot;
using requests::Token;

// Tokens that have KV or get it from a step in flight.
inline std::uint32_t covered(const sl_seq_row& row) { return row.computed + row.in_flight_max; }

inline std::uint32_t block_count(std::uint64_t blocks) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, UINT32_MAX));
}

// Is the entry a running sequence's next token?
inline bool decodes(const sl_entry& entry, const sl_seq_row& row, std::uint32_t prompt_tokens) {
  return entry.verb == SL_RUN && entry.blocks == 0 && row.runnable == 1 && covered(row) >= prompt_tokens;
}

// An entry on its way from the checked plan into the batch.
struct Staged {
  Slot slot;
  std::uint32_t entry;    // index in the plan
  std::uint32_t tokens;   // to compute after the match
  std::uint32_t need;     // blocks
  std::uint32_t blocks;   // it will hold in all
  std::uint32_t planned;  // blocks held or hit once earlier entries of the plan hung theirs in; 0 = no match
  std::uint32_t had;      // blocks held before the match
  std::uint16_t verb;
  bool admits, decode, fallen;
  // It starts to hold blocks: admitted, or brought in from host memory.
  bool enters() const { return admits || verb == SL_SWAP_IN || verb == SL_PREFETCH; }
};

// A row of a batch that was submitted: as small as can be, for each step writes and reads one a sequence.
struct RowInFlight {
  sl_seq seq;
  std::uint32_t life;
  std::uint32_t tokens : 31;
  std::uint32_t samples : 1;
};
static_assert(sizeof(RowInFlight) == 16);

// A row that prefills.
struct Chunk {
  sl_seq seq;
  std::uint32_t start, tokens, recompute;
};

// Integer shares of a step's device time that sum to it: what division leaves goes to the first.
struct Shares {
  Shares(std::uint64_t ns, std::uint32_t tokens)
      : each(tokens == 0 ? 0 : ns / tokens), rest(tokens == 0 ? 0 : ns % tokens) {}
  std::uint64_t of(std::uint32_t tokens) { return each * tokens + std::exchange(rest, 0); }
  std::uint64_t each, rest;
};

// What a checked plan made of a sequence, for the ledger of causes.
struct Transition {
  sl_seq seq;
  observe::State state;
};

// Who let a sequence yield.
enum class YieldBy : std::uint8_t { nobody = 0, plan, policy, fallback, failed_step };

// How a sequence yields.
struct Yield {
  std::uint64_t mode;  // SL_YIELD_*
  std::uint32_t keep_blocks;
  std::uint16_t reason;
  YieldBy by;
  sl_seq for_seq;  // SL_NO_SEQ: for nobody in particular
};

struct InFlight {
  std::uint64_t step = 0;
  std::uint32_t decodes = 0, prefill_tokens = 0;
  bool is_void = false;     // an earlier step that it builds on failed
  bool some_ended = false;  // since it was submitted
  observe::Cause exhausted = observe::Cause::policy;
  Buffer<RowInFlight> rows;
  std::vector<Chunk> chunks;  // of the rows, those that prefill
  std::vector<std::uint32_t>
      fills;  // places of those that decode a block's last token: it joins the prompt tree
  std::vector<Transition> transitions;
};

// What only the end of a sequence needs; beside the manager's tables. Index = slot.
struct Life {
  observe::Account account;
  std::uint32_t hit_tokens = 0, recomputed_tokens = 0;
  std::uint32_t swapped_tokens = 0;  // that had KV when it was swapped out
  // Its last yield with tokens in flight: in which step, and the tokens before them.
  std::uint64_t kept_step = 0;
  std::uint32_t kept_confirmed = 0;
  std::int32_t rule = -1;
  // Its last preemption: who decided, why, for which request, and the tokens whose KV it lost at most.
  YieldBy preempted_by = YieldBy::nobody;
  std::uint16_t preempt_reason = 0;
  std::uint32_t lost_below = 0;
  std::uint64_t preempted_for = 0;
  std::uint32_t evicted_tokens = 0;  // of recomputed_tokens, those that an eviction took
  std::uint64_t blocked_by = 0;      // the request that held most blocks when its entry last fell for memory
};

// How many of the pending events each has heard. What all have heard is forgotten.
struct Heard {
  std::vector<std::uint32_t> gates;  // by place
  std::uint32_t precision = 0, scheduler = 0, preemption = 0, eviction = 0;
  std::uint32_t swap = 0;  // the new instance of a swap under way
};

// Who is in the way where memory is short.
struct TopHolder {
  sl_seq seq;
  std::uint32_t blocks;
};

// An entry that found no place in its step.
struct Fell {
  sl_seq seq;
  std::uint32_t entry;
  std::uint16_t reason;
};

}  // namespace serveloop::engine
