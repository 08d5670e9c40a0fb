// Filters on text: upper, trim, replace, join, indent, ...
#include <algorithm>
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/print.hpp"
#include "text/jinja/text_tools.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

template <std::string (*change)(std::string_view)>
Outcome<Value> changed(Call& call) {
  JINJA_TRY(text, soft_str(call.run, call.self));
  JINJA_CHECK(call.run.budget.spend_characters(text.bytes.size()));
  JINJA_CHECK(call.run.reserve_text(3 * text.bytes.size()));
  return call.run.text(change(text.bytes), text.markup);
}

// The filter's own rule, which is not that of str.title(): a word starts after white space, '-' or an opening bracket.
Outcome<Value> title(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  JINJA_CHECK(call.run.reserve_text(3 * text.size()));
  std::string out;
  const auto separates = [&](std::size_t at) {
    const std::uint32_t code = unicode::at(text, at).code;
    return unicode::is_space(code) ||
           (code < 0x80 && std::string_view("-({[<").find(static_cast<char>(code)) != kNotFound);
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    const bool separator = separates(at);
    while (end < text.size() && separates(end) == separator) end += unicode::at(text, end).bytes;
    const std::string_view word = std::string_view(text).substr(at, end - at);
    const std::size_t first = unicode::at(word, 0).bytes;
    out += separator ? std::string(word)
                     : unicode::upper(word.substr(0, first)) + unicode::lower(word.substr(first));
    at = end;
  }
  return call.run.text(std::move(out));
}

Outcome<Value> trim(Call& call) {
  JINJA_TRY(text, soft_str(call.run, call.self));
  if (!call.has(0) || call.at(0).is(Kind::none))
    return call.run.text(std::string(unicode::strip(text.bytes)), text.markup);
  JINJA_TRY(drop, call.text(0, ""));
  JINJA_CHECK(call.run.spend(text.bytes.size() * (drop.size() / 64 + 1)));
  return call.run.text(std::string(unicode::strip_right(unicode::strip_left(text.bytes, drop), drop)),
                       text.markup);
}

Outcome<Value> to_string(Call& call) {
  if (call.self.is(Kind::text)) return call.self;
  JINJA_TRY(text, str(call.run, call.self));
  return call.run.text(std::move(text));
}

Outcome<Value> replace(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  JINJA_TRY(from, call.text(0, ""));
  JINJA_TRY(to, call.text(1, ""));
  std::int64_t count = -1;
  if (call.has(2) && !call.at(2).is(Kind::none)) {
    JINJA_TRY(given, call.integer(2, -1));
    count = given;
  }
  JINJA_TRY(out, replaced(call.run, text, from, to, count));
  return call.run.text(std::move(out));
}

Outcome<Value> join(Call& call) {
  JINJA_TRY(items, iterate(call.run, call.self));
  JINJA_TRY(separator, call.text(0, ""));
  std::string out;
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    Value item = items->items[i];
    if (call.has(1) && !call.at(1).is(Kind::none)) {
      JINJA_TRY(found, get_path(call.run, item, call.at(1)));
      item = std::move(found);
    }
    JINJA_TRY(text, str(call.run, item));
    JINJA_CHECK(call.run.spend(1));
    JINJA_CHECK(call.run.budget.room_for(out.size() + separator.size() + text.size()));
    if (i > 0) out += separator;
    out += text;
  }
  return call.run.text(std::move(out));
}

Outcome<Value> indent(Call& call) {
  JINJA_TRY(text, soft_str(call.run, call.self));
  std::string margin(4, ' ');
  if (call.has(0) && call.at(0).is(Kind::text)) {
    margin = call.at(0).as_bytes();
  } else {
    JINJA_TRY(width, call.integer(0, 4));
    JINJA_CHECK(call.run.reserve_text(width > 0 ? static_cast<std::size_t>(width) : 0));
    margin.assign(width > 0 ? static_cast<std::size_t>(width) : 0, ' ');
  }
  const std::string ended = text.bytes + '\n';
  JINJA_TRY(lines, split_lines(call.run, ended));
  std::size_t added = 0;
  if (__builtin_mul_overflow(lines.size(), margin.size(), &added)) added = kNotFound / 2;
  JINJA_CHECK(call.run.reserve_text(text.bytes.size() + added));
  const bool blank = call.flag(2, false);
  std::string out = call.flag(1, false) ? margin : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += margin;
    out += lines[i];
  }
  return call.run.text(std::move(out), text.markup);
}

Outcome<Value> center(Call& call) {
  JINJA_TRY(text, soft_str(call.run, call.self));
  JINJA_TRY(width, call.integer(0, 80));
  const auto size = static_cast<std::int64_t>(unicode::length(text.bytes));
  const auto gap = static_cast<std::size_t>(width > size ? width - size : 0);
  JINJA_CHECK(call.run.reserve_text(gap));
  // Where the gap is odd, Python puts the larger half by the parity of the width.
  const std::size_t left = gap / 2 + (gap & static_cast<std::size_t>(width) & 1);
  return call.run.text(std::string(left, ' ') + text.bytes + std::string(gap - left, ' '), text.markup);
}

Outcome<Value> truncate(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  JINJA_TRY(longest, call.integer(0, 255));
  JINJA_TRY(end, call.text(2, "..."));
  JINJA_TRY(leeway, call.integer(3, 5));
  const auto size = static_cast<std::int64_t>(unicode::length(text)),
             mark = static_cast<std::int64_t>(unicode::length(end));
  if (longest < mark) return fault("truncate() expects a length of at least " + std::to_string(mark));
  if (leeway < 0) return fault("truncate() expects a leeway of at least 0");
  if (size <= longest || size - longest <= leeway) return call.run.text(std::move(text));
  std::string kept = text.substr(0, unicode::offset_of(text, static_cast<std::size_t>(longest - mark)));
  if (!call.flag(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return call.run.text(kept + end);
}

Outcome<Value> wordcount(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); at += unicode::at(text, at).bytes) {
    const std::uint32_t code = unicode::at(text, at).code;
    const bool word = code == '_' || unicode::is_alpha(code) || unicode::is_numeric(code);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value(words);
}

Outcome<Value> format(Call& call) {
  if (!call.rest.named.empty() && !call.rest.positional.empty())
    return fault("format() takes positional or keyword arguments, not both");
  JINJA_TRY(text, soft_str(call.run, call.self));
  JINJA_TRY(format, call.run.text(std::move(text.bytes), text.markup));
  if (call.rest.named.empty()) {
    JINJA_TRY(arguments, call.run.list(std::move(call.rest.positional), ListKind::tuple));
    return printf_format(call.run, format, arguments);
  }
  std::vector<std::pair<Value, Value>> entries;
  for (auto& [name, value] : call.rest.named) entries.emplace_back(Value::text(name), std::move(value));
  JINJA_TRY(arguments, call.run.dict(std::move(entries)));
  return printf_format(call.run, format, arguments);
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"upper", "", changed<unicode::upper>},
    {"lower", "", changed<unicode::lower>},
    {"capitalize", "", changed<unicode::capitalize>},
    {"title", "", title},
    {"trim", "chars", trim},
    {"string", "", to_string},
    {"replace", "old! new! count", replace},
    {"join", "d attribute", join},
    {"indent", "width first blank", indent},
    {"center", "width", center},
    {"truncate", "length killwords end leeway", truncate},
    {"wordcount", "", wordcount},
    {"format", "*", format},
});

}  // namespace

Table text_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
