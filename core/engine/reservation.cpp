#include "engine/reservation.hpp"

#include <algorithm>
#include <bit>

namespace serveloop::engine {

Reservation::Reservation(const Options& options, std::uint64_t longest_request, std::uint32_t sequence_slots)
    : how_(options.kv_reservation),
      block_tokens_(options.block_tokens),
      total_(options.kv_blocks),
      longest_(longest_request - 1),
      extents_(options.kv_blocks),
      held_(sequence_slots) {}

// KV is needed for every token but the last one sampled.
std::uint32_t Reservation::blocks_of(std::uint32_t prompt_tokens, std::uint32_t max_tokens) const {
  std::uint64_t tokens = longest_;
  if (how_ == KvReservation::contiguous_exact) tokens = std::uint64_t{prompt_tokens} + max_tokens - 1;
  if (how_ == KvReservation::contiguous_power_of_two)
    tokens = std::min(longest_, prompt_tokens + std::bit_ceil(std::uint64_t{max_tokens}) - 1);
  return static_cast<std::uint32_t>((tokens + block_tokens_ - 1) / block_tokens_);
}

bool Reservation::place(kv::Slot slot, std::uint32_t blocks) {
  Held& held = held_[slot];
  if (held.blocks > 0) return true;
  if (blocked_) return false;
  const std::optional<std::uint32_t> start = extents_.take(blocks);
  if (!start) {
    blocked_ = full_ = true;
    fragmented_ = extents_.free() >= blocks;
    return false;
  }
  held = {*start, blocks};
  return true;
}

void Reservation::release(kv::Slot slot) {
  Held& held = held_[slot];
  if (held.blocks == 0) return;
  extents_.give_back(held.start, held.blocks);
  held = {};
  full_ = false;
}

}  // namespace serveloop::engine
