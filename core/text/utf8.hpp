// UTF-8: where it is valid, and how a stream of bytes that need not be becomes text that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace serveloop::text {

inline constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Bytes of the longest prefix of whole, well-formed characters (Unicode 15, table 3-7: no surrogates, nothing
// overlong, nothing beyond U+10FFFF). bytes.size() if all is well.
std::size_t valid_prefix(std::string_view bytes);

// Bytes in any portions to whole characters. A maximal part of a character that cannot go on becomes one
// U+FFFD, as does any other byte that belongs to none (Unicode 15, section 3.9; the same as in HTML, Python
// and Rust). 4 bytes of state; a plain value, each belongs to one thread at a time.
class Utf8Stream {
 public:
  // Appends the characters that `bytes` completes; keeps up to 3 bytes of one that is not whole.
  void push(std::string_view bytes, std::string& out);
  // The stream is over: a character begun becomes U+FFFD.
  void finish(std::string& out);
  bool holds() const { return held_ != 0; }  // a part of a character

 private:
  std::uint8_t bytes_[3] = {};
  std::uint8_t held_ = 0;
};

}  // namespace serveloop::text
