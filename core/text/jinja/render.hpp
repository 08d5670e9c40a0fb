// One template over one context. Threads: any, at one time too; each call is a rendering of its own.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.hpp"

namespace serveloop::text::jinja {

using Context = std::vector<std::pair<std::string_view, Value>>;  // a later value of a name wins

struct Rendered {
  std::string text;
  std::uint64_t fuel_used = 0;
};

// Fails on what the template asks for and cannot have, and where it exceeds a limit.
Outcome<Rendered> render(const Template& parsed, const Context& context, const Limits& limits,
                         std::optional<std::tm> now);

}  // namespace serveloop::text::jinja
