// The alphabet has 256 letters, all below U+0144: one or two bytes of UTF-8.
#include "text/byte_alphabet.hpp"

#include <array>

namespace serveloop::text {
namespace {

constexpr std::uint32_t kLetters = 0x144;  // code points below this may be letters
constexpr std::uint16_t kNone = 256;

constexpr bool stands_for_itself(std::uint32_t code) {
  return (code >= 33 && code <= 126) || (code >= 161 && code <= 172) || (code >= 174 && code <= 255);
}

constexpr std::array<std::uint16_t, 256> make_letters() {
  std::array<std::uint16_t, 256> letters{};
  std::uint16_t other = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    letters[byte] = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : other++;
  return letters;
}
constexpr std::array<std::uint16_t, 256> kLetterOf = make_letters();

constexpr std::array<std::uint16_t, kLetters> make_bytes() {
  std::array<std::uint16_t, kLetters> bytes{};
  for (std::uint16_t& byte : bytes) byte = kNone;
  for (std::uint16_t byte = 0; byte < 256; ++byte) bytes[kLetterOf[byte]] = byte;
  return bytes;
}
constexpr std::array<std::uint16_t, kLetters> kByteOf = make_bytes();

}  // namespace

std::uint32_t letter_of(std::uint8_t byte) { return kLetterOf[byte]; }

std::optional<std::string> bytes_of(std::string_view letters) {
  std::string bytes;
  bytes.reserve(letters.size());
  for (std::size_t i = 0; i < letters.size();) {
    std::uint32_t code = static_cast<std::uint8_t>(letters[i++]);
    if (code >= 0x80) {
      if (code < 0xc2 || code > 0xc5 || i == letters.size()) return std::nullopt;  // U+0080 to U+017F
      const auto next = static_cast<std::uint8_t>(letters[i++]);
      if ((next & 0xc0) != 0x80) return std::nullopt;
      code = (code & 0x1f) << 6 | (next & 0x3f);
    }
    if (code >= kLetters || kByteOf[code] == kNone) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOf[code]));
  }
  return bytes;
}

}  // namespace serveloop::text
