// Formatting one value by width, precision and type, as printf-style `%` and str.format() share it.
// Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

struct FormatSpec {
  std::string fill = " ";
  char align = 0;   // < > ^ =; 0: by type
  char sign = '-';  // - + or a space
  bool alternate = false;
  char grouping = 0;  // , or _
  std::size_t width = 0;
  std::optional<int> precision;
  char type = 0;  // d f e g x o b c s %; 0: by value
};

inline constexpr std::size_t kMaxWidth = 10'000;
inline constexpr int kMaxPrecision = 300;

Outcome<FormatSpec> read_spec(std::string_view spec);  // of str.format()

Outcome<std::string> format_number(const Value& number, const FormatSpec& spec);  // requires is_numeric
std::string padded(std::string_view text, const FormatSpec& spec, char standard_align);

}  // namespace serveloop::text::jinja
