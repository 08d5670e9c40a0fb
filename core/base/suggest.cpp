#include "base/suggest.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace serveloop {
namespace {

constexpr std::size_t kLongest = 64;

std::string folded(std::string_view word) {
  std::string out(word.substr(0, kLongest));
  for (char& c : out) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (c == '-') c = '_';
  }
  return out;
}

}  // namespace

std::size_t edit_distance(std::string_view left, std::string_view right) {
  const std::string a = folded(left), b = folded(right);
  std::array<std::size_t, kLongest + 1> before{}, last{}, now{};  // rows i - 2, i - 1, i
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t differs = a[i - 1] == b[j - 1] ? 0 : 1;
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + differs});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before[j - 2] + 1);
      }
    }
    before = last;
    last = now;
  }
  return last[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  const std::string target = folded(word);
  std::string best, inside;
  std::size_t best_distance = kLongest + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(target, candidate);
    const std::size_t longer = std::max(target.size(), std::min(candidate.size(), kLongest));
    if (distance * 3 <= std::max<std::size_t>(longer, 3) && distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
    const std::string other = folded(candidate);
    const bool contains =
        target.size() >= 3 && other.size() >= 3 &&
        (target.find(other) != std::string::npos || other.find(target) != std::string::npos);
    if (contains && inside.empty()) inside = candidate;
  }
  return best.empty() ? inside : best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  if (const std::string near = nearest(word, candidates); !near.empty())
    return "did you mean '" + near + "'?";
  if (candidates.empty()) return {};
  constexpr std::size_t kNamed = 12;
  std::string line = "known: ";
  for (std::size_t i = 0; i < std::min(candidates.size(), kNamed); ++i)
    line += (i ? ", " : "") + candidates[i];
  if (candidates.size() > kNamed) line += ", and " + std::to_string(candidates.size() - kNamed) + " more";
  return line;
}

}  // namespace serveloop
