// What this process may use of its machine. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace serveloop::rig {

unsigned usable_cores();  // by its affinity; at least 1
// "Intel(R) Xeon(R) Processor @ 2.50GHz"; where the system does not say, the architecture: "aarch64".
std::string processor_name(const std::filesystem::path& root = "/");
// Bytes that may be taken without swapping or being killed: what the system has left, and what the control groups (v2)
// of this process allow. 0: unknown. `root`: where /proc and /sys are.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

// Is there room for so much before it is taken? "the model does not fit into memory: expected `what` of at most ...".
Status check_room(const char* what, std::uint64_t bytes, const char* hint);

}  // namespace serveloop::rig
