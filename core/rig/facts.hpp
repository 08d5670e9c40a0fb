// What a device decides of the engine; a step log keeps it, so that a replay needs no device. Plain values.
#pragma once

#include <serveloop/cost.h>

#include <cstdint>

#include "base/result.hpp"
#include "base/virtual_clock.hpp"
#include "observe/codec.hpp"

namespace serveloop::rig {

struct DeviceFacts {
  sl_cost cost{};
  HostModel host;                    // under virtual time
  std::uint32_t kv_blocks = 0;       // of the device
  std::uint32_t host_kv_blocks = 0;  // of the host tier; 0: there is none
  std::uint32_t context_tokens = 0;  // longest prompt plus output
  std::uint32_t vocabulary = 0;      // token ids are below it; 0: not checked
  std::uint64_t numerics = 0;        // id of weights, plan and instruction set
};

void encode(const DeviceFacts& facts, observe::Writer& out);
// Fails on numbers that no engine can have had.
Result<DeviceFacts> decode_facts(observe::Reader& in);

}  // namespace serveloop::rig
