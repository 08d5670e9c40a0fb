#include "text/jinja/text_tools.hpp"

#include <cstring>

#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

// An empty `from` stands before each character and at the end.
Outcome<std::string> interleaved(Run& run, std::string_view text, std::string_view to, std::size_t count) {
  JINJA_CHECK(run.budget.spend_characters(text.size()));
  const std::size_t places = std::min(unicode::length(text) + 1, count);
  std::size_t added = 0;
  if (__builtin_mul_overflow(places, to.size(), &added)) added = kNotFound / 2;
  JINJA_CHECK(run.reserve_text(text.size() + added));
  std::string out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < places; ++i) {
    out += to;
    if (at >= text.size()) break;
    const std::size_t bytes = unicode::at(text, at).bytes;
    out += text.substr(at, bytes);
    at += bytes;
  }
  return out += text.substr(at);
}

}  // namespace

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return kNotFound;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? kNotFound
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

Outcome<std::string> replaced(Run& run, std::string_view text, std::string_view from, std::string_view to,
                              std::int64_t count) {
  JINJA_CHECK(run.budget.spend_bytes(text.size() + from.size()));
  const std::size_t most = count < 0 ? kNotFound : static_cast<std::size_t>(count);
  if (from.empty()) return interleaved(run, text, to, most);
  std::size_t found = 0;
  for (std::size_t at = find_text(text, from); at != kNotFound && found < most;
       at = find_text(text, from, at + from.size()))
    ++found;
  std::size_t added = 0;
  if (__builtin_mul_overflow(found, to.size(), &added)) added = kNotFound / 2;
  JINJA_CHECK(run.spend(found));
  JINJA_CHECK(run.reserve_text(text.size() - found * from.size() + added));
  std::string out;
  out.reserve(text.size() - found * from.size() + added);
  std::size_t at = 0;
  for (; found > 0; --found) {
    const std::size_t next = find_text(text, from, at);
    (out += text.substr(at, next - at)) += to;
    at = next + from.size();
  }
  return out += text.substr(at);
}

Outcome<std::vector<std::string_view>> split_lines(Run& run, std::string_view text) {
  JINJA_CHECK(run.budget.spend_characters(text.size()));
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t ends = unicode::line_break(text, at);
    if (ends == 0) {
      at += unicode::at(text, at).bytes;
      continue;
    }
    lines.push_back(text.substr(start, at - start));
    at += ends;
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  JINJA_CHECK(run.reserve_items(lines.size()));
  return lines;
}

}  // namespace serveloop::text::jinja
