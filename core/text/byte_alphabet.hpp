// The byte alphabet of byte-level BPE (Radford et al., 2019): each byte stands as one printable character in
// vocabularies and merges. Bytes 33-126, 161-172 and 174-255 stand as the code point of the same number, the
// other 68, in ascending order, as U+0100 to U+0143. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace serveloop::text {

// The code point that stands for a byte.
std::uint32_t letter_of(std::uint8_t byte);

// The bytes that `letters` (UTF-8) stand for; nothing if a character is not of the alphabet or the text is not
// UTF-8.
std::optional<std::string> bytes_of(std::string_view letters);

}  // namespace serveloop::text
