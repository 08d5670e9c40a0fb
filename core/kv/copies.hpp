// Words of the host tier: what moves between device and host memory, and what came of it.
//
// A copy moves one block's KV. Copies run beside compute, in the order in which the cache lists them. One that was
// handed over with step k starts when all steps submitted before k have ended: it reads what they wrote, and what it
// writes to they may still have read. No row of step k, or of a later step before the copy's end was told, reads or
// writes either of its blocks. Each ends as done or as failed; a failed one may leave anything in its target.
#pragma once

#include <serveloop/base.h>

#include <cstdint>

#include "kv/types.hpp"

namespace serveloop::kv {

struct Copy {
  BlockId from, to;
  std::uint16_t from_tier, to_tier;  // SL_TIER_*
  bool operator==(const Copy&) const = default;
};

// What bring_in would do for a sequence.
struct BringIn {
  std::uint32_t need = 0;   // device blocks it must be given, a copy for each
  std::uint32_t reach = 0;  // blocks that its table will hold in all
  bool whole =
      true;  // false: a swapped sequence's copy cannot be reached to its end (its path above has a gap)
  bool pending = false;  // a copy of a block on the way is pending: to be asked again once that ended
};

// Something happened to a sequence's blocks in host memory: told once, in the order in which it happened.
struct Transfer {
  enum What : std::uint8_t {
    out,  // all copies of its swap_out have ended: it may be brought in
    in,   // all copies of its bring_in have ended: it may run
    cut,  // one of them failed: its table was released from that block on, the rest it must recompute
    lost,  // its host copy is gone (a copy out failed, or a block above left the cache): it holds nothing there
  };
  Slot slot;
  What what;
  bool operator==(const Transfer&) const = default;
};

// What came of an eviction answer.
struct Evicted {
  std::uint32_t freed = 0;        // device blocks that are free now
  std::uint32_t demoted = 0;      // device blocks that will be once their copy has ended
  std::uint32_t not_demoted = 0;  // of `freed`, those to be demoted that were dropped
  std::uint32_t host_full = 0;    // of `not_demoted`, those for which the host had no room
  std::uint32_t host_dropped =
      0;  // host blocks that left the cache: named ones, and those below dropped ones
};

}  // namespace serveloop::kv
