// Names of reason codes. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace serveloop::policy {

struct Manifest;

// "over_budget" for a code of the core's, else null.
const char* core_reason_name(std::uint16_t code);

// The core's name, or the deciding plugin's own ("sarathi.chunk_full" is its `chunk_full`), or
// "reason_<code>" where neither knows it.
std::string reason_name(std::uint16_t code, const Manifest* manifest = nullptr);

}  // namespace serveloop::policy
