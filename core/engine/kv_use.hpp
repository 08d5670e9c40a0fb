// What the device's KV pool is used for, at a moment.
#pragma once

#include <cstdint>

namespace serveloop::engine {

struct KvUse {
  std::uint64_t pool_tokens = 0;
  std::uint64_t held_tokens = 0;        // in blocks that sequences hold, shared ones once; reserved extents
  std::uint64_t unfilled_tokens = 0;    // of them, those without KV: none will come, or it is still to come
  std::uint64_t fragmented_tokens = 0;  // free, but in pieces too small for the one in turn
  std::uint32_t running = 0;            // sequences
};

}  // namespace serveloop::engine
