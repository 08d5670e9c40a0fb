// map, select, reject, selectattr, rejectattr: filters and tests on each element.
#include <algorithm>
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> map_attribute(Call& call, const List& all) {
  std::optional<Value> attribute, standard;
  for (auto& [name, value] : call.rest.named) {
    if (name != "attribute" && name != "default") return fault("map() got an unexpected keyword argument");
    (name == "attribute" ? attribute : standard) = std::move(value);
  }
  std::vector<Value> items;
  for (const Value& item : all.items) {
    JINJA_TRY(found, get_path(call.run, item, *attribute));
    items.push_back(found.is(Kind::undefined) && standard ? *standard : std::move(found));
  }
  return call.run.list(std::move(items), ListKind::generator);
}

// The name of a filter or test among the arguments, which are left without it.
Outcome<std::string> take_name(Call& call, std::string_view of) {
  std::vector<Value>& given = call.rest.positional;
  if (given.empty() || !given[0].is(Kind::text))
    return fault(std::string(call.name) + "() expects the name of a " + std::string(of));
  std::string name(given[0].as_bytes());
  given.erase(given.begin());
  return name;
}

Outcome<Value> map(Call& call) {
  if (!call.self.truth())
    return call.run.list({}, ListKind::generator);  // none and other values without elements too
  JINJA_TRY(all, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(all->items.size()));
  const bool attribute = std::any_of(call.rest.named.begin(), call.rest.named.end(),
                                     [](const auto& given) { return given.first == "attribute"; });
  if (call.rest.positional.empty() && attribute) return map_attribute(call, *all);
  JINJA_TRY(name, take_name(call, "filter"));
  const Builtin* filter = find_filter(name);
  if (filter == nullptr) return fault("no filter is named '" + shortened(name) + "'");
  std::vector<Value> items;
  for (const Value& item : all->items) {
    JINJA_TRY(made, call_builtin(call.run, *filter, item, call.rest));
    items.push_back(std::move(made));
  }
  return call.run.list(std::move(items), ListKind::generator);
}

// Keeps the elements for which the test says `wanted`: the test of the element, or of its attribute.
template <bool wanted, bool by_attribute>
Outcome<Value> select(Call& call) {
  if (!call.self.truth()) return call.run.list({}, ListKind::generator);  // as in map()
  JINJA_TRY(all, iterate(call.run, call.self));
  JINJA_CHECK(call.run.reserve_items(all->items.size()));
  Value attribute;
  if (by_attribute) {
    if (call.rest.positional.empty()) return fault(std::string(call.name) + "() misses an attribute's name");
    attribute = call.rest.positional[0];
    call.rest.positional.erase(call.rest.positional.begin());
  }
  const Builtin* test = nullptr;
  if (!call.rest.positional.empty()) {
    JINJA_TRY(name, take_name(call, "test"));
    test = find_test(name);
    if (test == nullptr) return fault("no test is named '" + shortened(name) + "'");
  }
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    Value tested = item;
    JINJA_CHECK(call.run.spend(1));
    if (by_attribute) {
      JINJA_TRY(found, get_path(call.run, item, attribute));
      tested = std::move(found);
    }
    if (test != nullptr) {
      JINJA_TRY(answer, call_builtin(call.run, *test, tested, call.rest));
      tested = std::move(answer);
    }
    if (tested.truth() == wanted) kept.push_back(item);
  }
  return call.run.list(std::move(kept), ListKind::generator);
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"map", "*", map},
    {"select", "*", select<true, false>},
    {"reject", "*", select<false, false>},
    {"selectattr", "*", select<true, true>},
    {"rejectattr", "*", select<false, true>},
});

}  // namespace

Table select_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
