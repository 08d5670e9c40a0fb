#include "text/jinja/lex_string.hpp"

#include <cctype>

#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

// `\x41`, `\u0041`, `\U00000041`: exactly `digits` of them.
Outcome<std::uint32_t> read_hex(std::string_view source, std::size_t start, std::size_t digits) {
  std::uint32_t code = 0;
  for (std::size_t i = start; i < start + digits; ++i) {
    if (i >= source.size() || digit_of(source[i]) > 15)
      return fault("a string with a broken \\x, \\u or \\U");
    code = code << 4 | static_cast<std::uint32_t>(digit_of(source[i]));
  }
  return code;
}

// Decodes the escape at `at` (of its backslash) into `out`, and moves past it.
Done read_escape(std::string_view source, std::size_t& at, std::string& out) {
  const char c = source[at + 1];
  at += 2;
  constexpr std::string_view kNamed = "abfnrtv\\'\"", kMeans = "\a\b\f\n\r\t\v\\'\"";
  if (const std::size_t named = kNamed.find(c); named != std::string_view::npos) {
    out += kMeans[named];
  } else if (c == 'x' || c == 'u' || c == 'U') {
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    JINJA_TRY(code, read_hex(source, at, digits));
    at += digits;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return fault("a string with an escape that is no character");
    unicode::append(out, code);
  } else if (c >= '0' && c <= '7') {
    std::uint32_t code = static_cast<std::uint32_t>(c - '0');
    for (int i = 0; i < 2 && at < source.size() && source[at] >= '0' && source[at] <= '7'; ++i)
      code = code * 8 + static_cast<std::uint32_t>(source[at++] - '0');
    unicode::append(out, code);
  } else if (c == 'N') {
    return fault("a string with \\N{...}, which is not supported");
  } else if (c != '\n') {  // a backslash before a newline joins lines
    out += '\\';
    out += c;
  }
  return {};
}

std::size_t scan_digits(std::string_view source, std::size_t at, int base) {
  const auto digit = [&](std::size_t i) { return i < source.size() && digit_of(source[i]) < base; };
  while (digit(at) || (at < source.size() && source[at] == '_' && digit(at + 1))) ++at;
  return at;
}

}  // namespace

Outcome<StringLiteral> read_string(std::string_view source, std::size_t start) {
  const char quote = source[start];
  std::string out;
  for (std::size_t at = start + 1; at < source.size();) {
    const char c = source[at];
    if (c != '\\' || at + 1 >= source.size()) {
      if (c == quote) return StringLiteral{std::move(out), at + 1};
      out += c;
      ++at;
      continue;
    }
    JINJA_CHECK(read_escape(source, at, out));
  }
  return fault("a string without its closing quote");
}

NumberLiteral scan_number(std::string_view source, std::size_t start, bool may_be_real) {
  if (source[start] == '0' && start + 1 < source.size()) {
    const char mark = static_cast<char>(source[start + 1] | 0x20);
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    const std::size_t first = start + (start + 2 < source.size() && source[start + 2] == '_' ? 3 : 2);
    if (base != 0 && scan_digits(source, first, base) > first)
      return {scan_digits(source, first, base), false};
  }
  NumberLiteral found{scan_digits(source, start, 10), false};
  if (!may_be_real) return found;
  const auto digit = [&](std::size_t i) { return i < source.size() && digit_of(source[i]) < 10; };
  if (found.end < source.size() && source[found.end] == '.' && digit(found.end + 1))
    found = {scan_digits(source, found.end + 1, 10), true};
  if (found.end < source.size() && (source[found.end] | 0x20) == 'e') {
    std::size_t exponent = found.end + 1;
    if (exponent < source.size() && (source[exponent] == '+' || source[exponent] == '-')) ++exponent;
    if (digit(exponent)) found = {scan_digits(source, exponent, 10), true};
  }
  return found;
}

}  // namespace serveloop::text::jinja
