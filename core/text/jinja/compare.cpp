#include "text/jinja/compare.hpp"

#include <algorithm>
#include <cstring>

#include "text/jinja/number.hpp"

namespace serveloop::text::jinja {

namespace {

// Which lists are compared element by element: list with list, tuple with tuple, range with range, and the rest
// only with themselves.
bool comparable(ListKind a, ListKind b) {
  return a == b && a != ListKind::generator && a != ListKind::dict_values;
}

Outcome<bool> equal_lists(Run& run, const List& a, const List& b) {
  if (&a == &b) return true;
  if (!comparable(a.kind, b.kind) || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    JINJA_TRY(same, equal(run, a.items[i], b.items[i]));
    if (!same) return false;
  }
  return true;
}

Outcome<bool> equal_dicts(Run& run, const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key);
    if (other == nullptr) return false;
    JINJA_TRY(same, equal(run, value, *other));
    if (!same) return false;
  }
  return true;
}

tl::unexpected<Fault> no_order(const Value& a, const Value& b) {
  return fault("'<' not supported between instances of '" + std::string(a.type_name()) + "' and '" +
               std::string(b.type_name()) + "'");
}

Outcome<bool> less_lists(Run& run, const Value& a, const Value& b) {
  const List &x = a.as_list(), &y = b.as_list();
  if (x.kind != y.kind || (x.kind != ListKind::list && x.kind != ListKind::tuple)) return no_order(a, b);
  const std::size_t common = std::min(x.items.size(), y.items.size());
  for (std::size_t i = 0; i < common; ++i) {
    JINJA_TRY(same, equal(run, x.items[i], y.items[i]));
    if (!same) return less(run, x.items[i], y.items[i]);
  }
  return x.items.size() < y.items.size();
}

}  // namespace

Outcome<bool> equal(Run& run, const Value& a, const Value& b) {
  JINJA_CHECK(run.spend(1));
  if (is_numeric(a) && is_numeric(b)) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none: return true;
    case Kind::text:
      JINJA_CHECK(run.budget.spend_bytes(std::min(a.as_bytes().size(), b.as_bytes().size())));
      return a.as_bytes() == b.as_bytes();
    case Kind::list: return equal_lists(run, a.as_list(), b.as_list());
    case Kind::dict: return equal_dicts(run, a.as_dict(), b.as_dict());
    default: return a.identity() == b.identity();
  }
}

Outcome<bool> less(Run& run, const Value& a, const Value& b) {
  JINJA_CHECK(run.spend(1));
  if (is_numeric(a) && is_numeric(b)) return compare_numbers(a, b) == -1;
  if (a.is(Kind::undefined)) return undefined_fault(a);
  if (b.is(Kind::undefined)) return undefined_fault(b);
  if (a.is(Kind::text) && b.is(Kind::text)) {
    JINJA_CHECK(run.budget.spend_bytes(std::min(a.as_bytes().size(), b.as_bytes().size())));
    return a.as_bytes() < b.as_bytes();
  }
  if (a.is(Kind::list) && b.is(Kind::list)) return less_lists(run, a, b);
  return no_order(a, b);
}

Outcome<bool> compare(Run& run, std::string_view op, const Value& a, const Value& b) {
  if (op == "==" || op == "!=") {
    JINJA_TRY(same, equal(run, a, b));
    return same == (op == "==");
  }
  const bool swapped = op[0] == '>';
  const Value &x = swapped ? b : a, &y = swapped ? a : b;
  JINJA_TRY(smaller, less(run, x, y));
  if (smaller || op.size() == 1) return smaller;
  return equal(run, x, y);
}

Outcome<bool> contains(Run& run, const Value& container, const Value& element) {
  switch (container.kind()) {
    case Kind::undefined: return false;
    case Kind::text: {
      if (!element.is(Kind::text))
        return fault("'in <string>' requires string as left operand, not " +
                     std::string(element.type_name()));
      const std::string_view text = container.as_bytes(), part = element.as_bytes();
      JINJA_CHECK(run.budget.spend_bytes(text.size() + part.size()));
      return part.empty() || memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
    }
    case Kind::list:
      for (const Value& item : container.as_list().items) {
        if (item.identity() != nullptr && item.identity() == element.identity()) return true;
        JINJA_TRY(same, equal(run, item, element));
        if (same) return true;
      }
      return false;
    case Kind::dict:
      if (element.is(Kind::list) || element.is(Kind::dict))
        return fault("unhashable type: '" + std::string(element.type_name()) + "'");
      if (element.is(Kind::text)) JINJA_CHECK(run.budget.spend_characters(element.as_bytes().size()));
      return container.as_dict().find(element) != nullptr;
    default: return fault("argument of type '" + std::string(container.type_name()) + "' is not iterable");
  }
}

}  // namespace serveloop::text::jinja
