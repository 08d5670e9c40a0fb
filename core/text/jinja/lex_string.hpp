// String and number literals of the template language, which are Python's. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/outcome.hpp"

namespace serveloop::text::jinja {

struct StringLiteral {
  std::string value;
  std::size_t end = 0;  // past the closing quote
};

// Requires a quote at `start`.
Outcome<StringLiteral> read_string(std::string_view source, std::size_t start);

struct NumberLiteral {
  std::size_t end = 0;
  bool real = false;
};

// Requires a digit at `start`. Without `may_be_real`, the dot after it is left (`x.0.1`).
NumberLiteral scan_number(std::string_view source, std::size_t start, bool may_be_real);

}  // namespace serveloop::text::jinja
