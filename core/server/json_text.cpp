#include "server/json_text.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>

#include "text/utf8.hpp"

namespace serveloop::server {
namespace {

bool plain(unsigned char c) { return c >= 0x20 && c != '"' && c != '\\'; }

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
  }
}

template <class Number>
void append_chars(std::string& out, Number value) {
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
}

template <class Real>
void append_real(std::string& out, Real value, Real instead) {
  append_chars(out, std::isfinite(value) ? value : instead);
}

}  // namespace

void append_json_inside(std::string& out, std::string_view text) {
  std::string cleaned;
  if (text::valid_prefix(text) != text.size()) {
    text::Utf8Stream stream;
    stream.push(text, cleaned);
    stream.finish(cleaned);
    text = cleaned;
  }
  std::size_t from = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (plain(static_cast<unsigned char>(text[at]))) continue;
    out.append(text, from, at - from);
    append_escaped(out, text[at]);
    from = at + 1;
  }
  out.append(text, from);
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  append_json_inside(out, text);
  out += '"';
}

void append_number(std::string& out, std::uint64_t value) { append_chars(out, value); }
void append_number(std::string& out, std::int64_t value) { append_chars(out, value); }
void append_number(std::string& out, double value, double instead) { append_real(out, value, instead); }
void append_number(std::string& out, float value, float instead) { append_real(out, value, instead); }

}  // namespace serveloop::server
