// Width and precision are bounded, so that what one value formats to is.
#include "text/jinja/format.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja/number.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

// The number at `at`, which moves past it; 0 where none stands.
Outcome<std::size_t> read_count(std::string_view spec, std::size_t& at, std::size_t most) {
  std::size_t count = 0;
  for (; at < spec.size() && spec[at] >= '0' && spec[at] <= '9'; ++at) {
    count = count * 10 + static_cast<std::size_t>(spec[at] - '0');
    if (count > most) return fault("a format with a width or precision over " + std::to_string(most));
  }
  return count;
}

std::string digits_of(std::uint64_t number, unsigned base, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out += digits[number % base];
    number /= base;
  } while (number > 0);
  std::reverse(out.begin(), out.end());
  return out;
}

// Separators between groups of digits of the whole part at the text's start.
std::string grouped(const std::string& text, char separator, std::size_t group) {
  std::size_t whole = 0;
  while (whole < text.size() && std::isxdigit(static_cast<unsigned char>(text[whole]))) ++whole;
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out += separator;
    out += text[i];
  }
  return out + text.substr(whole);
}

std::string real_digits(double magnitude, const FormatSpec& spec) {
  if (!std::isfinite(magnitude)) return std::isnan(magnitude) ? "nan" : "inf";
  if (spec.type == 0 && !spec.precision) return real_text(magnitude);
  const char type = spec.type == 0 || spec.type == 'n' ? 'g' : spec.type == '%' ? 'f' : spec.type;
  const char format[] = {'%', '.', '*', type, 0};
  char text[1024];
  std::snprintf(text, sizeof(text), format, spec.precision.value_or(6),
                spec.type == '%' ? magnitude * 100 : magnitude);
  std::string out = text;
  if (spec.type == '%') out += '%';
  if (spec.type == 0 && out.find_first_of(".einf") == std::string::npos) out += ".0";
  return out;
}

}  // namespace

Outcome<FormatSpec> read_spec(std::string_view spec) {
  FormatSpec read;
  std::size_t at = 0;
  const auto is_align = [&](std::size_t i) {
    return i < spec.size() && std::string_view("<>^=").find(spec[i]) != spec.npos;
  };
  const auto take = [&](std::string_view any) {
    return at < spec.size() && any.find(spec[at]) != any.npos ? spec[at++] : '\0';
  };
  const std::size_t first = spec.empty() ? 0 : unicode::at(spec, 0).bytes;
  if (is_align(first) && first > 0) {
    read.fill = spec.substr(0, first);
    read.align = spec[first];
    at = first + 1;
  } else if (is_align(0)) {
    read.align = spec[at++];
  }
  if (const char sign = take("+- ")) read.sign = sign;
  read.alternate = take("#") != 0;
  if (at < spec.size() && spec[at] == '0') {
    ++at;
    if (read.align == 0) {
      read.fill = "0";
      read.align = '=';
    }
  }
  JINJA_TRY(width, read_count(spec, at, kMaxWidth));
  read.width = width;
  read.grouping = take(",_");
  if (take(".") != 0) {
    JINJA_TRY(precision, read_count(spec, at, static_cast<std::size_t>(kMaxPrecision)));
    read.precision = static_cast<int>(precision);
  }
  read.type = take("bcdeEfFgGnosxX%");
  if (at != spec.size()) return fault("a format that str.format() does not know");
  return read;
}

std::string padded(std::string_view text, const FormatSpec& spec, char standard_align) {
  const std::size_t size = unicode::length(text);
  if (size >= spec.width) return std::string(text);
  const std::size_t gap = spec.width - size;
  const char align = spec.align != 0 ? spec.align : standard_align;
  const std::size_t before = align == '<' ? 0 : align == '^' ? gap / 2 : gap;
  // '=' pads between a sign and the digits.
  const bool signed_text =
      align == '=' && !text.empty() && std::string_view("+- ").find(text[0]) != text.npos;
  std::string out(text.substr(0, signed_text ? 1 : 0));
  for (std::size_t i = 0; i < before; ++i) out += spec.fill;
  out += text.substr(signed_text ? 1 : 0);
  for (std::size_t i = before; i < gap; ++i) out += spec.fill;
  return out;
}

Outcome<std::string> format_number(const Value& number, const FormatSpec& spec) {
  const bool by_real =
      number.is(Kind::real) ||
      (spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  std::string digits, prefix;
  bool negative = false;
  if (by_real) {
    if (spec.type != 0 && std::string_view("bcdoxXs").find(spec.type) != std::string_view::npos)
      return fault("a format for integers, of a real number");
    const double real = to_real(number);
    negative = std::signbit(real) && !std::isnan(real);
    digits = real_digits(std::fabs(real), spec);
  } else {
    const std::int64_t whole = to_int(number);
    negative = whole < 0;
    const std::uint64_t magnitude =
        negative ? ~static_cast<std::uint64_t>(whole) + 1 : static_cast<std::uint64_t>(whole);
    if (spec.type == 'c') {
      if (whole < 0 || whole > 0x10ffff || (whole >= 0xd800 && whole <= 0xdfff))
        return fault("a number that is no character");
      std::string one;
      unicode::append(one, static_cast<std::uint32_t>(whole));
      return one;
    }
    const unsigned base = spec.type == 'b'                       ? 2
                          : spec.type == 'o'                     ? 8
                          : spec.type == 'x' || spec.type == 'X' ? 16
                                                                 : 10;
    digits = digits_of(magnitude, base, spec.type == 'X');
    if (spec.alternate && base != 10) prefix = std::string("0") + spec.type;
  }
  if (spec.grouping != 0)
    digits = grouped(digits, spec.grouping,
                     spec.grouping == '_' && spec.type != 0 && !by_real && spec.type != 'd' ? 4 : 3);
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  return sign + prefix + digits;
}

}  // namespace serveloop::text::jinja
