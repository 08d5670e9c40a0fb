// Writing JSON by hand: what answers are made of. Appends; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace serveloop::server {

// In quotes. Bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text);
// The same without the quotes.
void append_json_inside(std::string& out, std::string_view text);
void append_number(std::string& out, std::uint64_t value);
void append_number(std::string& out, std::int64_t value);
// The shortest digits that read back to it. JSON has no infinity and no NaN: those are `instead`.
void append_number(std::string& out, double value, double instead = 0);
void append_number(std::string& out, float value, float instead = 0);

inline std::string json_quoted(std::string_view text) {
  std::string out;
  append_json(out, text);
  return out;
}

}  // namespace serveloop::server
