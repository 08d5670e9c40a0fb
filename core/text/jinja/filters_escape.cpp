// Filters that write text for another language: JSON, HTML, addresses.
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/json.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> tojson(Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.flag(0, false);
  style.sort_keys = call.flag(3, false);
  if (call.has(1) && !call.at(1).is(Kind::none)) {
    if (call.at(1).is(Kind::text)) {
      style.indent = std::string(call.at(1).as_bytes());
    } else {
      JINJA_TRY(width, call.integer(1, 0));
      JINJA_CHECK(call.run.reserve_text(width > 0 ? static_cast<std::size_t>(width) : 0));
      style.indent = std::string(width > 0 ? static_cast<std::size_t>(width) : 0, ' ');
    }
    style.item_separator = ",";
  }
  if (call.has(2) && !call.at(2).is(Kind::none)) {
    JINJA_TRY(separators, iterate(call.run, call.at(2)));
    if (separators->items.size() != 2 || !separators->items[0].is(Kind::text) ||
        !separators->items[1].is(Kind::text))
      return fault("tojson() expects two separators");
    style.item_separator = separators->items[0].as_bytes();
    style.key_separator = separators->items[1].as_bytes();
  }
  JINJA_TRY(json, to_json(call.run, call.self, style));
  return call.run.text(std::move(json));
}

Outcome<Value> safe(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  return call.run.text(std::move(text), true);
}

template <bool again>
Outcome<Value> escape(Call& call) {
  JINJA_TRY(text, soft_str(call.run, call.self));
  if (text.markup && !again) return call.run.text(std::move(text.bytes), true);
  JINJA_CHECK(call.run.reserve_text(5 * text.bytes.size()));
  return call.run.text(escaped(text.bytes), true);
}

Outcome<Value> urlencode(Call& call) {
  if (!call.self.is(Kind::text)) return call.refuse("text", call.self);
  const std::string_view text = call.self.as_bytes();
  JINJA_CHECK(call.run.reserve_text(3 * text.size()));
  std::string out;
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || std::string_view("_.-~/").find(c) != std::string_view::npos) {
      out += c;
    } else {
      ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
    }
  }
  return call.run.text(std::move(out));
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"tojson", "ensure_ascii indent separators sort_keys", tojson},
    {"safe", "", safe},
    {"escape", "", escape<false>},
    {"e", "", escape<false>},
    {"forceescape", "", escape<true>},
    {"urlencode", "", urlencode},
});

}  // namespace

Table escape_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
