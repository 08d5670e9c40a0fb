// What this process may use of its machine. Thread-safe.
#pragma once

#include <cstdint>

namespace serveloop::rig {

unsigned usable_cores();           // by its affinity; at least 1
std::uint64_t available_memory();  // bytes; 0: unknown

}  // namespace serveloop::rig
