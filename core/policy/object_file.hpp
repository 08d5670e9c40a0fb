// A plugin object's bytes on their way from the file to the loader: read once, hashed, and opened from a
// private copy named by its content. Thread safety: all functions may be called from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace serveloop::policy {

Result<std::vector<std::uint8_t>> read_object(const std::string& path);

std::string sha256_hex(std::span<const std::uint8_t> bytes);

// Writes the bytes to a sealed file in memory, unless this process has one of that hash and name, and returns
// a path to it that no other content ever gets. Nothing is left however the process ends. Costs one file
// descriptor for each content.
Result<std::string> private_copy(std::span<const std::uint8_t> bytes, const std::string& sha256,
                                 const std::string& name);

}  // namespace serveloop::policy
