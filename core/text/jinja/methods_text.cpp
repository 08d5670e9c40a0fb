// Methods of text that answer with text, a place in it or a yes.
#include <algorithm>
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/print.hpp"
#include "text/jinja/text_tools.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> like_self(Call& call, std::string text) {
  return call.run.text(std::move(text), call.self.as_text().markup);
}

template <std::string (*change)(std::string_view)>
Outcome<Value> changed(Call& call) {
  JINJA_CHECK(call.run.budget.spend_characters(call.self.as_bytes().size()));
  JINJA_CHECK(call.run.reserve_text(3 * call.self.as_bytes().size()));
  return like_self(call, change(call.self.as_bytes()));
}

template <bool left, bool right>
Outcome<Value> strip(Call& call) {
  std::string_view text = call.self.as_bytes();
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  if (!call.has(0) || call.at(0).is(Kind::none)) {
    if (left) text = unicode::strip_left(text);
    if (right) text = unicode::strip_right(text);
  } else {
    JINJA_TRY(drop, call.words(0, ""));
    JINJA_CHECK(call.run.spend(text.size() * (drop.size() / 64 + 1)));
    if (left) text = unicode::strip_left(text, drop);
    if (right) text = unicode::strip_right(text, drop);
  }
  return like_self(call, std::string(text));
}

// The part of the text between the character positions that parameters `i` and `i + 1` give.
struct Part {
  std::string_view text;
  std::size_t skipped = 0;   // characters before it
  bool empty_range = false;  // starts after it ends, or after the text
};
Outcome<Part> part_of(Call& call, std::size_t i) {
  const std::string_view text = call.self.as_bytes();
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  if (!call.has(i) && !call.has(i + 1)) return Part{text};
  const auto size = static_cast<std::int64_t>(unicode::length(text));
  std::int64_t bounds[2] = {0, size};
  for (std::size_t b = 0; b < 2; ++b) {
    if (!call.has(i + b) || call.at(i + b).is(Kind::none)) continue;
    JINJA_TRY(given, call.integer(i + b, 0));
    bounds[b] = given < -size ? 0 : given < 0 ? given + size : given;
  }
  if (bounds[0] > size || bounds[0] > bounds[1]) return Part{{}, 0, true};
  const std::size_t first = unicode::offset_of(text, static_cast<std::size_t>(bounds[0]));
  const std::string_view rest = text.substr(first);
  const std::size_t end = unicode::offset_of(rest, static_cast<std::size_t>(bounds[1] - bounds[0]));
  return Part{rest.substr(0, end), static_cast<std::size_t>(bounds[0])};
}

template <bool at_start>
Outcome<Value> has_affix(Call& call) {
  JINJA_TRY(part, part_of(call, 1));
  std::vector<Value> affixes = {call.at(0)};
  if (call.at(0).is(Kind::list) && call.at(0).as_list().kind == ListKind::tuple)
    affixes = call.at(0).as_list().items;
  for (const Value& affix : affixes) {
    if (!affix.is(Kind::text)) return call.refuse("text or a tuple of it", affix);
    JINJA_CHECK(call.run.budget.spend_bytes(affix.as_bytes().size()));
    const std::string_view bytes = affix.as_bytes();
    if (!part.empty_range && (at_start ? part.text.starts_with(bytes) : part.text.ends_with(bytes)))
      return Value(true);
  }
  return Value(false);
}

template <bool at_start>
Outcome<Value> without_affix(Call& call) {
  std::string_view text = call.self.as_bytes();
  JINJA_TRY(affix, call.words(0, ""));
  JINJA_CHECK(call.run.reserve_text(text.size()));
  if (at_start && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!at_start && text.ends_with(affix)) text.remove_suffix(affix.size());
  return like_self(call, std::string(text));
}

Outcome<Value> replace(Call& call) {
  JINJA_TRY(from, call.words(0, ""));
  JINJA_TRY(to, call.words(1, ""));
  JINJA_TRY(count, call.integer(2, -1));
  const bool escapes = call.self.as_text().markup && !call.at(1).as_text().markup;
  JINJA_TRY(out,
            replaced(call.run, call.self.as_bytes(), from, escapes ? escaped(to) : std::string(to), count));
  return like_self(call, std::move(out));
}

// The last place of `part`: the first one in the text turned around, so that this is linear as well.
std::size_t find_last(std::string_view text, std::string_view part) {
  const std::string turned_text(text.rbegin(), text.rend()), turned(part.rbegin(), part.rend());
  const std::size_t found = find_text(turned_text, turned);
  return found == kNotFound ? kNotFound : text.size() - found - part.size();
}

// find(), rfind(), index(), rindex(): in characters; -1 or an error where there is none.
template <bool last, bool must_be_there>
Outcome<Value> find(Call& call) {
  JINJA_TRY(sought, call.words(0, ""));
  JINJA_TRY(part, part_of(call, 1));
  JINJA_CHECK(call.run.reserve_text(part.text.size() + sought.size()));
  std::size_t at = kNotFound;
  if (!part.empty_range) at = last ? find_last(part.text, sought) : find_text(part.text, sought);
  if (at != kNotFound)
    return Value(static_cast<std::int64_t>(part.skipped + unicode::length(part.text.substr(0, at))));
  if (must_be_there) return fault("substring not found");
  return Value(std::int64_t{-1});
}

Outcome<Value> count(Call& call) {
  JINJA_TRY(sought, call.words(0, ""));
  JINJA_TRY(part, part_of(call, 1));
  JINJA_CHECK(call.run.budget.spend_bytes(sought.size()));
  if (part.empty_range) return Value(std::int64_t{0});
  if (sought.empty()) return Value(static_cast<std::int64_t>(unicode::length(part.text)) + 1);
  std::int64_t found = 0;
  for (std::size_t at = find_text(part.text, sought); at != kNotFound;
       at = find_text(part.text, sought, at + sought.size()))
    ++found;
  JINJA_CHECK(call.run.spend(static_cast<std::uint64_t>(found)));
  return Value(found);
}

// True if there is a character and all are of the class.
template <bool (*holds)(std::uint32_t)>
Outcome<Value> all_are(Call& call) {
  const std::string_view text = call.self.as_bytes();
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  for (std::size_t at = 0; at < text.size(); at += unicode::at(text, at).bytes)
    if (!holds(unicode::at(text, at).code)) return Value(false);
  return Value(!text.empty());
}

bool is_alnum(std::uint32_t code) { return unicode::is_alpha(code) || unicode::is_numeric(code); }

// islower() and isupper(): some letter has case, and none the other one.
template <bool (*wanted)(std::uint32_t), bool (*other)(std::uint32_t)>
Outcome<Value> is_cased(Call& call) {
  const std::string_view text = call.self.as_bytes();
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  bool found = false;
  for (std::size_t at = 0; at < text.size(); at += unicode::at(text, at).bytes) {
    if (other(unicode::at(text, at).code)) return Value(false);
    found = found || wanted(unicode::at(text, at).code);
  }
  return Value(found);
}

enum class Side : std::uint8_t { left, right, both, zero };

// ljust(), rjust(), center(), zfill(): the text stands at a side of `width` characters.
template <Side side>
Outcome<Value> justify(Call& call) {
  JINJA_TRY(width, call.integer(0, 0));
  std::string_view fill = side == Side::zero ? "0" : " ";
  if (side != Side::zero && call.has(1)) {
    JINJA_TRY(given, call.words(1, " "));
    fill = given;
  }
  if (unicode::length(fill) != 1) return call.refuse("one character to fill with", call.self);
  std::string_view text = call.self.as_bytes();
  const auto size = static_cast<std::int64_t>(unicode::length(text));
  const std::size_t gap = width > size ? static_cast<std::size_t>(width) - static_cast<std::size_t>(size) : 0;
  JINJA_CHECK(call.run.reserve_text(gap > kNotFound / 8 ? gap : gap * fill.size() + text.size()));
  std::size_t before = side == Side::left ? 0 : gap;
  if (side == Side::both) before = gap / 2 + (gap & static_cast<std::size_t>(width) & 1);
  std::string out;
  if (side == Side::zero && !text.empty() && (text[0] == '-' || text[0] == '+')) {
    out = text[0];
    text.remove_prefix(1);
  }
  for (std::size_t i = 0; i < before; ++i) out += fill;
  out += text;
  for (std::size_t i = before; i < gap; ++i) out += fill;
  return like_self(call, std::move(out));
}

Outcome<Value> join(Call& call) {
  JINJA_TRY(all, iterate(call.run, call.at(0)));
  const std::string_view separator = call.self.as_bytes();
  std::string out;
  for (std::size_t i = 0; i < all->items.size(); ++i) {
    const Value& item = all->items[i];
    if (!item.is(Kind::text)) return call.refuse("text in what it joins", item);
    JINJA_CHECK(call.run.reserve_text(out.size() / 64 + separator.size() + item.as_bytes().size()));
    JINJA_CHECK(call.run.budget.room_for(out.size() + separator.size() + item.as_bytes().size()));
    if (i > 0) out += separator;
    out += call.self.as_text().markup && !item.as_text().markup ? escaped(item.as_bytes())
                                                                : std::string(item.as_bytes());
  }
  return like_self(call, std::move(out));
}

Outcome<Value> format(Call& call) { return brace_format(call.run, call.self.as_bytes(), call.rest); }

constexpr auto kMethods = std::to_array<Builtin>({
    {"upper", "", changed<unicode::upper>},
    {"lower", "", changed<unicode::lower>},
    {"title", "", changed<unicode::title>},
    {"capitalize", "", changed<unicode::capitalize>},
    {"strip", "chars", strip<true, true>},
    {"lstrip", "chars", strip<true, false>},
    {"rstrip", "chars", strip<false, true>},
    {"startswith", "prefix! start end", has_affix<true>},
    {"endswith", "suffix! start end", has_affix<false>},
    {"removeprefix", "prefix!", without_affix<true>},
    {"removesuffix", "suffix!", without_affix<false>},
    {"replace", "old! new! count", replace},
    {"find", "sub! start end", find<false, false>},
    {"rfind", "sub! start end", find<true, false>},
    {"index", "sub! start end", find<false, true>},
    {"rindex", "sub! start end", find<true, true>},
    {"count", "sub! start end", count},
    {"isalpha", "", all_are<unicode::is_alpha>},
    {"isdigit", "", all_are<unicode::is_digit>},
    {"isnumeric", "", all_are<unicode::is_numeric>},
    {"isalnum", "", all_are<is_alnum>},
    {"isspace", "", all_are<unicode::is_space>},
    {"islower", "", is_cased<unicode::is_lower, unicode::is_upper>},
    {"isupper", "", is_cased<unicode::is_upper, unicode::is_lower>},
    {"ljust", "width! fillchar", justify<Side::left>},
    {"rjust", "width! fillchar", justify<Side::right>},
    {"center", "width! fillchar", justify<Side::both>},
    {"zfill", "width!", justify<Side::zero>},
    {"join", "iterable!", join},
    {"format", "*", format},
});

}  // namespace

Table text_methods() { return kMethods; }

}  // namespace serveloop::text::jinja
