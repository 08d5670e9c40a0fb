// What an engine is built with.
#pragma once

#include <serveloop/cost.h>

#include <cstdint>

namespace serveloop::engine {

struct Options {
  std::uint32_t token_budget = 2048;  // tokens a step
  std::uint32_t max_sequences = 256;  // running at once
  std::uint32_t block_tokens = 16;
  std::uint32_t kv_blocks = 0;       // device blocks
  std::uint32_t host_kv_blocks = 0;  // 0: no host tier
  bool prefix_cache = true;
  std::uint32_t lag = 0;  // steps the device may be behind: 0 or 1
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
