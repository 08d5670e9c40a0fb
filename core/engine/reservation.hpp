// Contiguous reservation: whoever starts to hold blocks needs one extent of the pool for all that it may come to hold, as
// engines had it before paging (Kwon et al., SOSP 2023, section 3). First fit; who finds none waits, and so do those behind it.
//
// It stands beside the paged cache and takes nothing from it: an extent is as long as all blocks that its sequence can come
// to hold, so where there is an extent there are blocks. Private to core/engine.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/options.hpp"
#include "kv/extents.hpp"
#include "kv/types.hpp"

namespace serveloop::engine {

class Reservation {
 public:
  // `longest_request`: prompt and output that a sequence may have at most, in tokens.
  Reservation(const Options& options, std::uint64_t longest_request, std::uint32_t sequence_slots);

  // Blocks that a sequence reserves.
  std::uint32_t blocks_of(std::uint32_t prompt_tokens, std::uint32_t max_tokens) const;

  void begin_plan() { blocked_ = fragmented_ = false; }
  // It has an extent, or gets one now. False: there is none, or none for one before it in this plan.
  bool place(kv::Slot slot, std::uint32_t blocks);
  void release(kv::Slot slot);  // if it has one

  std::uint32_t reserved(kv::Slot slot) const { return held_[slot].blocks; }
  std::uint32_t reserved() const { return total_ - extents_.free(); }
  // What policies are told is free: none from when somebody found no extent until one is given back.
  std::uint32_t promised_free() const { return full_ ? 0 : extents_.free(); }
  // Free blocks, where they would have held one of the last plan's in all and none of their pieces did.
  std::uint32_t fragmented() const { return fragmented_ ? extents_.free() : 0; }

 private:
  struct Held {
    std::uint32_t start = 0, blocks = 0;  // 0: none
  };
  KvReservation how_;
  std::uint32_t block_tokens_, total_;
  std::uint64_t longest_;  // KV tokens
  kv::Extents extents_;
  std::vector<Held> held_;                     // by slot
  bool blocked_ = false, fragmented_ = false;  // of this plan
  bool full_ = false;                          // since an extent was last given back
};

}  // namespace serveloop::engine
