// Filters that compare: sort, dictsort, unique, min, max.
#include <algorithm>
#include <array>
#include <set>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/compare.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

// What an element is compared by: itself or its attribute, text in lower case unless case counts.
Outcome<Value> key_of(Run& run, const Value& item, const std::optional<Value>& attribute,
                      bool case_sensitive) {
  Value key = item;
  if (attribute && !attribute->is(Kind::none)) {
    JINJA_TRY(found, get_path(run, item, *attribute));
    key = std::move(found);
  }
  if (case_sensitive || !key.is(Kind::text)) return key;
  JINJA_CHECK(run.budget.spend_characters(key.as_bytes().size()));
  JINJA_CHECK(run.reserve_text(3 * key.as_bytes().size()));
  return run.text(unicode::lower(key.as_bytes()));
}

struct Keyed {
  std::vector<Value> keys;
  Value item;
};

Done sort_keyed(Run& run, std::vector<Keyed>& entries, bool reverse) {
  return merge_sort(run, entries, [&](const Keyed& a, const Keyed& b) -> Outcome<bool> {
    const Keyed &x = reverse ? b : a, &y = reverse ? a : b;
    for (std::size_t i = 0; i < x.keys.size(); ++i) {
      if (i + 1 < x.keys.size()) {
        JINJA_TRY(same, equal(run, x.keys[i], y.keys[i]));
        if (same) continue;
      }
      return less(run, x.keys[i], y.keys[i]);
    }
    return false;
  });
}

// "a,b" names two attributes, the first of which counts most.
std::vector<std::optional<Value>> attributes_of(const std::optional<Value>& given) {
  if (!given || !given->is(Kind::text)) return {given};
  std::vector<std::optional<Value>> attributes;
  std::string_view rest = given->as_bytes();
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    more = comma != rest.npos;
    attributes.emplace_back(Value::text(std::string(rest.substr(0, comma))));
    rest.remove_prefix(more ? comma + 1 : rest.size());
  }
  return attributes;
}

Outcome<Value> sort(Call& call) {
  JINJA_TRY(all, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(4 * all->items.size()));
  const auto attributes = attributes_of(call.given[2]);
  std::vector<Keyed> entries;
  for (const Value& item : all->items) {
    Keyed& entry = entries.emplace_back();
    entry.item = item;
    for (const auto& attribute : attributes) {
      JINJA_TRY(key, key_of(call.run, item, attribute, call.flag(1, false)));
      entry.keys.push_back(std::move(key));
    }
  }
  JINJA_CHECK(sort_keyed(call.run, entries, call.flag(0, false)));
  std::vector<Value> items;
  items.reserve(entries.size());
  for (Keyed& entry : entries) items.push_back(std::move(entry.item));
  return call.run.list(std::move(items));
}

Outcome<Value> dictsort(Call& call) {
  if (!call.self.is(Kind::dict)) return call.refuse("a mapping", call.self);
  JINJA_TRY(by, call.text(1, "key"));
  if (by != "key" && by != "value") return fault("dictsort() sorts by 'key' or by 'value'");
  JINJA_CHECK(call.run.reserve_items(4 * call.self.as_dict().entries.size()));
  std::vector<Keyed> entries;
  for (const auto& [key, value] : call.self.as_dict().entries) {
    JINJA_TRY(pair, call.run.list({key, value}, ListKind::tuple));
    JINJA_TRY(sorted_by, key_of(call.run, by == "key" ? key : value, std::nullopt, call.flag(0, false)));
    entries.push_back({{std::move(sorted_by)}, std::move(pair)});
  }
  JINJA_CHECK(sort_keyed(call.run, entries, call.flag(2, false)));
  std::vector<Value> items;
  items.reserve(entries.size());
  for (Keyed& entry : entries) items.push_back(std::move(entry.item));
  return call.run.list(std::move(items));
}

Outcome<Value> unique(Call& call) {
  JINJA_TRY(all, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(4 * all->items.size()));
  std::set<Value, KeyLess> seen;
  std::vector<Value> items;
  for (const Value& item : all->items) {
    JINJA_TRY(key, key_of(call.run, item, call.given[1], call.flag(0, false)));
    if (!is_key(key)) return call.refuse("strings, numbers, booleans or none", key);
    JINJA_CHECK(call.run.budget.spend_characters(key.is(Kind::text) ? key.as_bytes().size() : 1));
    if (seen.insert(std::move(key)).second) items.push_back(item);
  }
  return call.run.list(std::move(items), ListKind::generator);
}

template <bool largest>
Outcome<Value> extreme(Call& call) {
  JINJA_TRY(all, iterate(call.run, call.self));
  if (all->items.empty()) return call.run.undefined("no aggregated item, the sequence was empty");
  std::size_t best = 0;
  Value best_key;
  for (std::size_t i = 0; i < all->items.size(); ++i) {
    JINJA_TRY(key, key_of(call.run, all->items[i], call.given[1], call.flag(0, false)));
    if (i > 0) {
      JINJA_TRY(better, largest ? less(call.run, best_key, key) : less(call.run, key, best_key));
      if (!better) continue;
    }
    best = i;
    best_key = std::move(key);
  }
  return all->items[best];
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"sort", "reverse case_sensitive attribute", sort},
    {"dictsort", "case_sensitive by reverse", dictsort},
    {"unique", "case_sensitive attribute", unique},
    {"min", "case_sensitive attribute", extreme<false>},
    {"max", "case_sensitive attribute", extreme<true>},
});

}  // namespace

Table order_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
