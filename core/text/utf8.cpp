// A character's length follows from its first byte; only the second byte's range depends on the first.
#include "text/utf8.hpp"

#include <cstring>

namespace serveloop::text {
namespace {

// Bytes of the character that `lead` opens; 0 if it opens none.
std::size_t length_of(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

bool may_be_second(std::uint8_t lead, std::uint8_t byte) {
  switch (lead) {
    case 0xe0: return byte >= 0xa0 && byte < 0xc0;
    case 0xed: return byte >= 0x80 && byte < 0xa0;
    case 0xf0: return byte >= 0x90 && byte < 0xc0;
    case 0xf4: return byte >= 0x80 && byte < 0x90;
    default: return byte >= 0x80 && byte < 0xc0;
  }
}

bool ascii(const char* at) {  // 8 bytes
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return (word & 0x8080808080808080u) == 0;
}

}  // namespace

std::size_t valid_prefix(std::string_view bytes) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    if (bytes.size() - i >= 8 && ascii(&bytes[i])) {
      i += 8;
      continue;
    }
    const auto lead = static_cast<std::uint8_t>(bytes[i]);
    const std::size_t length = length_of(lead);
    if (length == 0 || length > bytes.size() - i) return i;
    if (length > 1 && !may_be_second(lead, static_cast<std::uint8_t>(bytes[i + 1]))) return i;
    for (std::size_t k = 2; k < length; ++k)
      if ((static_cast<std::uint8_t>(bytes[i + k]) & 0xc0) != 0x80) return i;
    i += length;
  }
  return i;
}

void Utf8Stream::push(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    if (held_ == 0) {
      const std::size_t whole = valid_prefix(bytes);
      out.append(bytes.substr(0, whole));
      bytes.remove_prefix(whole);
      if (bytes.empty()) return;
    }
    const auto byte = static_cast<std::uint8_t>(bytes.front());
    const bool goes_on = held_ == 0   ? length_of(byte) > 1
                         : held_ == 1 ? may_be_second(bytes_[0], byte)
                                      : (byte & 0xc0) == 0x80;
    if (goes_on && held_ + 1u == length_of(held_ == 0 ? byte : bytes_[0])) {
      for (std::uint8_t k = 0; k < held_; ++k) out.push_back(static_cast<char>(bytes_[k]));
      out.push_back(bytes.front());
      held_ = 0;
    } else if (goes_on) {
      bytes_[held_++] = byte;
    } else if (held_ != 0) {  // the byte itself may open the next character
      finish(out);
      continue;
    } else {
      out.append(kReplacement);
    }
    bytes.remove_prefix(1);
  }
}

void Utf8Stream::finish(std::string& out) {
  if (held_ != 0) out.append(kReplacement);
  held_ = 0;
}

}  // namespace serveloop::text
