// What the core keeps of a sequence beside the rows that policies read. The loop thread's.
#pragma once

#include <serveloop/base.h>

#include <cstdint>

#include "requests/token_store.hpp"

namespace serveloop::requests {

using Slot = std::uint32_t;

// The core's own part of a sequence that a step touches: one cache line beside the hot row. Index = slot.
struct alignas(64) Sequence {
  std::uint32_t row = SL_NONE;  // executor row, while running
  std::uint32_t life = 0;       // counts preemptions: KV of an earlier life no longer counts
  std::uint32_t max_tokens = 0;
  std::uint8_t planned = 0;  // what the last plan made of it; the engine's to define
  bool has_stops = false;
  std::uint64_t named_step = UINT64_MAX;  // last step that ran it or let its entry fall
  std::uint64_t longest_gap_ns = 0;       // between two of its tokens
  TokenList generated;                    // the last few; the rest is in the manager's token store
};
static_assert(sizeof(Sequence) == 64);

// What the check of a plan needs of a sequence beside its row: so little that the check reads half as many lines.
struct Checked {
  std::uint32_t seen = 0;  // stamp of the last check that named it
  std::uint32_t prompt_tokens = 0;
};

// The rest of it: where it stands in the manager's lists.
struct Links {
  std::uint32_t generation = 0;
  std::uint32_t running_at = SL_NONE;
  std::uint32_t ready_prev = SL_NONE, ready_next = SL_NONE;  // list of ready sequences
  std::uint32_t holder_at = SL_NONE;                         // place among holders that do not run
  bool in_ready = false;
  std::uint64_t begun_step = UINT64_MAX;                   // last step in which it entered the executor
  std::uint64_t serial = 0;                                // order of arrival
  std::uint32_t live_prev = SL_NONE, live_next = SL_NONE;  // list of live sequences, by arrival
};

}  // namespace serveloop::requests
