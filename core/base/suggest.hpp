// Suggestions for misspelt names: the known word nearest to an unknown one, so that an error can offer it.
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace serveloop {

// Edit distance (Damerau's variant, adjacent swaps count once), of bytes; case is ignored, '-' equals '_'.
// Words longer than 64 bytes compare by their first 64.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, the first of equals; empty where none is near enough to be a slip of the
// hand (more than a third of the longer word's letters differ) and none contains the word or is contained in
// it.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// "did you mean 'x'?" where something is near, else "known: a, b, c" (at most 12 named), else nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace serveloop
