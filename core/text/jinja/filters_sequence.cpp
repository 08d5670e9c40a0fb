// Filters on sequences and mappings as a whole: length, first, list, items, default, ...
#include <algorithm>
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> standard(Call& call) {
  const bool missing = call.self.is(Kind::undefined) || (call.flag(1, false) && !call.self.truth());
  if (!missing) return call.self;
  return call.has(0) ? Outcome<Value>(call.at(0)) : call.run.text("");
}

Outcome<Value> count(Call& call) {
  JINJA_TRY(found, length(call.run, call.self));
  return Value(found);
}

Outcome<Value> first(Call& call) {
  if (call.self.is(Kind::list) && call.self.as_list().kind == ListKind::generator) {
    const List& list = call.self.as_list();
    if (list.taken < list.items.size()) return list.items[list.taken++];
    return call.run.undefined("no first item, the sequence was empty");
  }
  if (call.self.is(Kind::text) && !call.self.as_bytes().empty())
    return get_item(call.run, call.self, Value(std::int64_t{0}));
  JINJA_TRY(items, iterate(call.run, call.self));
  return items->items.empty() ? call.run.undefined("no first item, the sequence was empty")
                              : items->items.front();
}

bool is_generator(const Value& value) {
  return value.is(Kind::list) && value.as_list().kind == ListKind::generator;
}

Outcome<Value> last(Call& call) {
  if (is_generator(call.self)) return fault("'generator' object is not reversible");
  if (call.self.is(Kind::text) && !call.self.as_bytes().empty())
    return get_item(call.run, call.self, Value(std::int64_t{-1}));
  JINJA_TRY(items, iterate(call.run, call.self));
  return items->items.empty() ? call.run.undefined("no last item, the sequence was empty")
                              : items->items.back();
}

Outcome<Value> to_list(Call& call) {
  JINJA_TRY(items, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(items->items.size()));
  return call.run.list(items->items);
}

Outcome<Value> items(Call& call) {
  if (call.self.is(Kind::undefined)) return call.run.list({}, ListKind::generator);
  if (!call.self.is(Kind::dict)) return fault("can only get item pairs from a mapping");
  JINJA_CHECK(call.run.reserve_items(call.self.as_dict().entries.size()));
  std::vector<Value> pairs;
  for (const auto& [key, value] : call.self.as_dict().entries) {
    JINJA_TRY(pair, call.run.list({key, value}, ListKind::tuple));
    pairs.push_back(std::move(pair));
  }
  return call.run.list(std::move(pairs), ListKind::generator);
}

Outcome<Value> reverse(Call& call) {
  if (call.self.is(Kind::text)) {
    const std::string_view text = call.self.as_bytes();
    JINJA_CHECK(call.run.reserve_text(text.size()));
    std::string out(text.size(), ' ');
    for (std::size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
      bytes = unicode::at(text, at).bytes;
      text.copy(out.data() + (text.size() - at - bytes), bytes, at);
    }
    return call.run.text(std::move(out), call.self.as_text().markup);
  }
  JINJA_TRY(all, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(all->items.size()));
  return call.run.list({all->items.rbegin(), all->items.rend()},
                       is_generator(call.self) ? ListKind::list : ListKind::generator);
}

// batch(3): rows of three, the last one filled up where a filling is given.
Outcome<Value> batch(Call& call) {
  JINJA_TRY(width, call.integer(0, 1));
  JINJA_TRY(all, iterate(call.run, call.self));
  const bool fill = call.has(1) && !call.at(1).is(Kind::none);
  std::vector<Value> rows, row;
  const auto close = [&]() -> Done {
    JINJA_TRY(made, call.run.list(std::exchange(row, {})));
    rows.push_back(std::move(made));
    return {};
  };
  JINJA_CHECK(call.run.reserve_items(2 * all->items.size()));
  for (const Value& item : all->items) {
    if (static_cast<std::int64_t>(row.size()) == width) JINJA_CHECK(close());
    row.push_back(item);
  }
  if (fill && !row.empty() && static_cast<std::int64_t>(row.size()) < width) {
    JINJA_CHECK(call.run.reserve_items(static_cast<std::size_t>(width)));
    row.resize(static_cast<std::size_t>(width), call.at(1));
  }
  if (!row.empty()) JINJA_CHECK(close());
  return call.run.list(std::move(rows), ListKind::generator);
}

Outcome<Value> sum(Call& call) {
  JINJA_TRY(all, iterate(call.run, call.self));
  Value total = call.has(1) ? call.at(1) : Value(std::int64_t{0});
  if (total.is(Kind::text)) return fault("sum() can't sum strings; use join");
  for (const Value& item : all->items) {
    JINJA_CHECK(call.run.spend(1));
    Value term = item;
    if (call.has(0) && !call.at(0).is(Kind::none)) {
      JINJA_TRY(found, get_path(call.run, item, call.at(0)));
      term = std::move(found);
    }
    JINJA_TRY(next, operate(call.run, '+', total, term));
    total = std::move(next);
  }
  return total;
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"default", "default_value boolean", standard},
    {"d", "default_value boolean", standard},
    {"length", "", count},
    {"count", "", count},
    {"first", "", first},
    {"last", "", last},
    {"list", "", to_list},
    {"items", "", items},
    {"reverse", "", reverse},
    {"batch", "linecount! fill_with", batch},
    {"sum", "attribute start", sum},
});

}  // namespace

Table sequence_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
