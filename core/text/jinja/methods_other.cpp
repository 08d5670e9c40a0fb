// Methods of dicts, lists, loops and cyclers. None changes a dict or a list.
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/compare.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> get(Call& call) {
  if (!is_key(call.at(0)) && !call.at(0).is(Kind::undefined)) return call.refuse("a key", call.at(0));
  if (call.at(0).is(Kind::text)) JINJA_CHECK(call.run.budget.spend_characters(call.at(0).as_bytes().size()));
  const Value* found = call.self.as_dict().find(call.at(0));
  if (found != nullptr) return *found;
  return call.has(1) ? call.at(1) : Value(None{});
}

template <ListKind kind>
Outcome<Value> view(Call& call) {
  const auto& entries = call.self.as_dict().entries;
  JINJA_CHECK(call.run.reserve_items(entries.size()));
  std::vector<Value> items;
  items.reserve(entries.size());
  for (const auto& [key, value] : entries) {
    if (kind != ListKind::dict_items) {
      items.push_back(kind == ListKind::dict_keys ? key : value);
      continue;
    }
    JINJA_TRY(pair, call.run.list({key, value}, ListKind::tuple));
    items.push_back(std::move(pair));
  }
  return call.run.list(std::move(items), kind);
}

Outcome<Value> copy(Call& call) { return call.self; }  // nothing could tell them apart

Outcome<Value> index(Call& call) {
  const auto& items = call.self.as_list().items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    JINJA_TRY(same, equal(call.run, items[i], call.at(0)));
    if (same) return Value(static_cast<std::int64_t>(i));
  }
  return fault("the value is not in the list");
}

Outcome<Value> count(Call& call) {
  std::int64_t found = 0;
  for (const Value& item : call.self.as_list().items) {
    JINJA_TRY(same, equal(call.run, item, call.at(0)));
    found += same ? 1 : 0;
  }
  return Value(found);
}

Outcome<Value> cycle(Call& call) {
  const auto& items = call.rest.positional;
  if (items.empty()) return fault("loop.cycle() expects items");
  return items[call.self.as_loop().at % items.size()];
}

Outcome<Value> changed(Call& call) {
  Loop& loop = call.self.as_loop();
  bool same = loop.asked && loop.seen.size() == call.rest.positional.size();
  for (std::size_t i = 0; same && i < loop.seen.size(); ++i) {
    JINJA_TRY(equals, equal(call.run, loop.seen[i], call.rest.positional[i]));
    same = equals;
  }
  loop.asked = true;
  if (!same) loop.seen = std::move(call.rest.positional);
  return Value(!same);
}

Outcome<Value> next_item(Call& call) {
  Callable& cycler = call.self.as_callable();
  const Value current = cycler.state[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.state.size();
  return current;
}

Outcome<Value> reset(Call& call) {
  call.self.as_callable().position = 0;
  return Value(None{});
}

constexpr auto kDict = std::to_array<Builtin>({
    {"get", "key! default", get},
    {"items", "", view<ListKind::dict_items>},
    {"keys", "", view<ListKind::dict_keys>},
    {"values", "", view<ListKind::dict_values>},
    {"copy", "", copy},
});
constexpr auto kList = std::to_array<Builtin>({
    {"index", "value!", index},
    {"count", "value!", count},
    {"copy", "", copy},
});
constexpr auto kLoop = std::to_array<Builtin>({{"cycle", "*", cycle}, {"changed", "*", changed}});
constexpr auto kCycler = std::to_array<Builtin>({{"next", "", next_item}, {"reset", "", reset}});

}  // namespace

Table dict_methods() { return kDict; }
Table list_methods() { return kList; }
Table loop_methods() { return kLoop; }
Table cycler_methods() { return kCycler; }

}  // namespace serveloop::text::jinja
