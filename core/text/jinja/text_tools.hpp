// Searching and rebuilding text, shared by filters and methods. Linear in the text whatever it holds, and sizes are
// checked before anything is built. Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

inline constexpr std::size_t kNotFound = std::string_view::npos;

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0);

// str.replace(); a negative count replaces all.
Outcome<std::string> replaced(Run& run, std::string_view text, std::string_view from, std::string_view to,
                              std::int64_t count);

// str.splitlines() without the line ends.
Outcome<std::vector<std::string_view>> split_lines(Run& run, std::string_view text);

}  // namespace serveloop::text::jinja
