// Methods of text that take it apart: split, rsplit, splitlines, partition.
#include <algorithm>
#include <array>

#include "text/jinja/builtin.hpp"
#include "text/jinja/text_tools.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

using Pieces = std::vector<std::string_view>;

Outcome<Value> made_of(Call& call, const Pieces& pieces, ListKind kind = ListKind::list) {
  JINJA_CHECK(call.run.reserve_items(pieces.size()));
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    JINJA_TRY(item, call.run.text(std::string(piece), call.self.as_text().markup));
    items.push_back(std::move(item));
  }
  return call.run.list(std::move(items), kind);
}

std::size_t next_space(std::string_view text, std::size_t at) {
  while (at < text.size() && !unicode::is_space(unicode::at(text, at).code))
    at += unicode::at(text, at).bytes;
  return at;
}

// By runs of white space; `most` splits, of which none makes an empty piece.
Pieces split_words(std::string_view text, std::size_t most) {
  Pieces pieces;
  for (std::string_view rest = unicode::strip_left(text); !rest.empty(); rest = unicode::strip_left(rest)) {
    if (pieces.size() == most) {
      pieces.push_back(rest);  // with the white space at its end
      break;
    }
    const std::size_t end = next_space(rest, 0);
    pieces.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return pieces;
}

// As split_words, from the right: the first piece is what is left over.
Pieces split_words_right(std::string_view text, std::size_t most) {
  Pieces words = split_words(text, kNotFound);
  if (words.size() <= most || most == kNotFound) return words;
  const std::size_t merged = words.size() - most;  // words of the first piece
  const char* const start = words[0].data();
  const std::string_view last = words[merged - 1];
  Pieces pieces = {{start, static_cast<std::size_t>(last.data() + last.size() - start)}};
  if (most == 0)
    pieces[0] = unicode::strip_right({start, static_cast<std::size_t>(text.data() + text.size() - start)});
  // What stands before the first word is kept.
  pieces[0] = {text.data(), static_cast<std::size_t>(pieces[0].data() + pieces[0].size() - text.data())};
  pieces.insert(pieces.end(), words.begin() + static_cast<std::ptrdiff_t>(merged), words.end());
  return pieces;
}

Pieces split_at(std::string_view text, std::string_view separator, std::size_t most) {
  Pieces pieces;
  std::size_t at = 0;
  while (pieces.size() < most) {
    const std::size_t found = find_text(text, separator, at);
    if (found == kNotFound) break;
    pieces.push_back(text.substr(at, found - at));
    at = found + separator.size();
  }
  pieces.push_back(text.substr(at));
  return pieces;
}

// From the right, as Python does: separators that overlap are taken from the end.
Pieces split_at_right(std::string_view text, std::string_view separator, std::size_t most) {
  const std::string turned_text(text.rbegin(), text.rend()), turned(separator.rbegin(), separator.rend());
  Pieces pieces;
  for (const std::string_view piece : split_at(turned_text, turned, most)) {
    const auto offset = static_cast<std::size_t>(piece.data() - turned_text.data());
    pieces.push_back(text.substr(text.size() - offset - piece.size(), piece.size()));
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

template <bool right>
Outcome<Value> split(Call& call) {
  const std::string_view text = call.self.as_bytes();
  JINJA_TRY(limit, call.integer(1, -1));
  const std::size_t most = limit < 0 ? kNotFound : static_cast<std::size_t>(limit);
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  JINJA_CHECK(call.run.budget.room_for(text.size() / 2 * sizeof(std::string_view)));
  if (!call.has(0) || call.at(0).is(Kind::none))
    return made_of(call, right ? split_words_right(text, most) : split_words(text, most));
  JINJA_TRY(separator, call.words(0, ""));
  if (separator.empty()) return fault("empty separator");
  JINJA_CHECK(call.run.budget.spend_bytes(separator.size()));
  JINJA_CHECK(call.run.budget.room_for(text.size() * sizeof(std::string_view)));
  return made_of(call, right ? split_at_right(text, separator, most) : split_at(text, separator, most));
}

Outcome<Value> splitlines(Call& call) {
  JINJA_TRY(lines, split_lines(call.run, call.self.as_bytes()));
  if (!call.flag(0, false)) return made_of(call, lines);
  const std::string_view text = call.self.as_bytes();
  for (std::string_view& line : lines) {  // with its end
    const auto end = static_cast<std::size_t>(line.data() - text.data()) + line.size();
    line = {line.data(), line.size() + (end < text.size() ? unicode::line_break(text, end) : 0)};
  }
  return made_of(call, lines);
}

template <bool right>
Outcome<Value> partition(Call& call) {
  const std::string_view text = call.self.as_bytes();
  JINJA_TRY(separator, call.words(0, ""));
  if (separator.empty()) return fault("empty separator");
  JINJA_CHECK(call.run.reserve_text(2 * (text.size() + separator.size())));
  const Pieces two = right ? split_at_right(text, separator, 1) : split_at(text, separator, 1);
  if (two.size() == 2) return made_of(call, {two[0], separator, two[1]}, ListKind::tuple);
  return made_of(call, right ? Pieces{"", "", text} : Pieces{text, "", ""}, ListKind::tuple);
}

constexpr auto kMethods = std::to_array<Builtin>({
    {"split", "sep maxsplit", split<false>},
    {"rsplit", "sep maxsplit", split<true>},
    {"splitlines", "keepends", splitlines},
    {"partition", "sep!", partition<false>},
    {"rpartition", "sep!", partition<true>},
});

}  // namespace

Table split_methods() { return kMethods; }

}  // namespace serveloop::text::jinja
