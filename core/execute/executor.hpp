// What the step loop asks of an executor, and all it knows of one: submit a mixed batch, collect its tokens.
//
// An executor keeps, per row (0 .. max_sequences - 1), the tokens and the block table of the sequence living
// there. Batches carry only changes. Steps execute in the order of submission; at lag 1 a step is submitted
// before the one before it was collected, and the executor feeds each sampled token to the next step on its
// own side. Called from the loop thread.
#pragma once

#include <serveloop/precision.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/sampling.hpp"

namespace serveloop::execute {

// A sequence that starts living in a row, with all tokens known so far (also those of a life before a
// preemption).
struct Begin {
  std::uint32_t row;
  std::uint32_t fork;
  const Sampling* sampling;  // this and the spans are valid for the call
  std::uint32_t prompt_tokens, max_tokens;
  std::span<const std::uint32_t> prompt;
  std::span<const std::uint32_t> generated;
};

// Entry `index` of a row's block table becomes `block`.
struct TableChange {
  std::uint32_t row, index, block;
};

// A run of a sequence's tokens, positions start .. start + tokens - 1. `samples`: the last one yields a new
// token. `decode`: it is the one token behind all that was computed; else a chunk of prefill, of one token or
// more.
struct BatchRow {
  std::uint32_t row, start, tokens;
  bool samples, decode;
};

// One block's KV goes from one tier to another, beside the steps: it starts when all steps submitted before its batch
// have ended, and no row of its batch, or of a later one until its end was told, reads or writes either block.
struct BlockCopy {
  std::uint32_t from, to;  // each in its own tier, from 0
  std::uint8_t from_tier, to_tier;
};

struct Batch {
  std::uint64_t step;
  std::uint32_t mode;     // precision mode
  std::uint32_t decodes;  // rows that decode
  std::uint32_t prefill_tokens;
  std::span<const Begin> begins;
  std::span<const TableChange> changes;
  std::span<const BlockCopy> copies;
  // In plan order. None: nothing could run, and the collection waits until one more copy has ended, if one is pending.
  std::span<const BatchRow> rows;
};

struct Collected {
  std::uint64_t step = 0;
  std::uint64_t device_start_ns = 0, device_end_ns = 0;  // engine's clock
  bool failed = false;                                   // nothing of the step holds; `why` says more
  std::string why;
  // The model's device time for the decode rows alone, for `decode` and `stretched`.
  std::uint64_t decode_ns = 0;
  // One per row of the batch; meaningless where it does not sample. Valid, as is `logprobs`, until the next submit.
  std::span<const std::uint32_t> tokens;
  // Empty, or one a row: the token's own, then the alternatives, likeliest first; empty where it asks for none.
  std::span<const std::vector<TokenLogprob>> logprobs;
  // Of all copies since the start, how many have ended, in the order in which they were handed over; which of those
  // that ended since the last collection failed (from 0 since the start, ascending). A failed one may leave anything in
  // its target. Valid until the next collection.
  std::uint64_t copies_ended = 0;
  std::span<const std::uint64_t> copies_failed;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // [loop] Never blocks on the device longer than needed to keep `lag` steps in flight.
  virtual void submit(const Batch& batch) = 0;
  // [loop] The oldest step not collected; waits for it.
  virtual Collected collect() = 0;
  // [control] The operations that a precision plan is asked for.
  virtual std::span<const sl_op_key> op_keys() const = 0;
  virtual Status apply(std::uint32_t mode, std::span<const sl_op_plan> plans) = 0;
  // [control] The plan of an applied mode as it took effect, one a key.
  virtual std::span<const sl_op_plan> effective(std::uint32_t mode) const = 0;
};

}  // namespace serveloop::execute
