// What an engine is built with.
#pragma once

#include <serveloop/cost.h>

#include <cstdint>

namespace serveloop::engine {

// What of the pool a sequence takes when it starts to hold blocks: those that it needs, or one extent as long as it may come
// to need (reservation.hpp).
enum class KvReservation : std::uint8_t { paged, contiguous_max, contiguous_power_of_two, contiguous_exact };

struct Options {
  std::uint32_t token_budget = 2048;  // tokens a step
  std::uint32_t max_sequences = 256;  // running at once
  std::uint32_t block_tokens = 16;
  std::uint32_t kv_blocks = 0;       // device blocks
  std::uint32_t host_kv_blocks = 0;  // 0: no host tier
  bool prefix_cache = true;
  KvReservation kv_reservation = KvReservation::paged;  // others: without prefix cache and host tier
  std::uint32_t lag = 0;                                // steps the device may be behind: 0 or 1
  bool deterministic = true;
  std::uint32_t max_waiting = 65536;  // sequences known and not running; beyond it a request is refused
  std::uint32_t bypass_steps = 64;    // steps without progress after which the fallback plans
  std::uint32_t context_tokens = 131072;
  std::uint32_t vocabulary = 0;  // token ids are below it; 0: any are taken
  std::uint64_t seed = 0;
  std::uint64_t numerics = 0;  // id of weights, plan and KV scales: part of every block's key
  sl_cost cost{};
};

}  // namespace serveloop::engine
