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

// Writes the bytes to `<private folder>/<sha256>/<name>` unless they are there, and returns that path. The
// folder belongs to this process, nobody else may enter it, and it is removed at exit.
Result<std::string> private_copy(std::span<const std::uint8_t> bytes, const std::string& sha256,
                                 const std::string& name);

}  // namespace serveloop::policy
