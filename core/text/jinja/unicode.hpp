// Characters of UTF-8 text, as Python's str has them. A byte that is not UTF-8 counts as one character that is
// in no class and stays as it is. Case follows Unicode's default, final sigma included.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace serveloop::text::jinja::unicode {

struct Character {
  std::uint32_t code = 0;   // kInvalid for a byte that is not UTF-8
  std::uint32_t bytes = 1;  // it takes
};
inline constexpr std::uint32_t kInvalid = 0xffffffff;

Character at(std::string_view text, std::size_t offset);  // requires offset < text.size()
void append(std::string& out, std::uint32_t code);        // requires a code point

std::size_t length(std::string_view text);  // in characters
bool ascii(std::string_view text);

// The offset of a character; text.size() from the last one on.
std::size_t offset_of(std::string_view text, std::size_t character);

bool is_space(std::uint32_t code);
bool is_printable(std::uint32_t code);
bool is_alpha(std::uint32_t code);
bool is_digit(std::uint32_t code);
bool is_numeric(std::uint32_t code);  // a digit, a fraction, a letter that is a number
bool is_lower(std::uint32_t code);
bool is_upper(std::uint32_t code);

std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalize(std::string_view text);  // first character in title case, others lower
std::string title(std::string_view text);       // so each word

// Without white space, or without the characters of `drop`, at the ends.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_right(strip_left(text)); }
std::string_view strip_left(std::string_view text, std::string_view drop);
std::string_view strip_right(std::string_view text, std::string_view drop);

// The bytes that the line break at `offset` takes; 0 where none stands. Python's splitlines().
std::size_t line_break(std::string_view text, std::size_t offset);

}  // namespace serveloop::text::jinja::unicode
