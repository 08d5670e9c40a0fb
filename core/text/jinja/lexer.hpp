// Splits a template into its text and the tokens of its tags, with the white space rules that chat templates are
// rendered with (trim_blocks and lstrip_blocks on, one newline at the end dropped). Threads: pure functions.
// Source: Jinja's documentation of template syntax and white space control.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/outcome.hpp"

namespace serveloop::text::jinja {

enum class TokenType : std::uint8_t {
  data,            // text between tags
  variable_begin,  // {{
  variable_end,
  block_begin,  // {%
  block_end,
  name,
  string,  // its decoded value
  integer,
  real,
  op,
  end
};

struct Token {
  TokenType type = TokenType::end;
  std::string text;
  std::uint32_t line = 1;
};

// Ends with one `end` token.
Outcome<std::vector<Token>> tokenize(std::string_view source);

}  // namespace serveloop::text::jinja
