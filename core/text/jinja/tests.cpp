// Tests of what a value is: `x is string`.
#include <array>

#include "text/jinja/access.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

template <Kind kind>
Outcome<Value> is_kind(Call& call) {
  return Value(call.self.is(kind));
}

template <bool (*holds)(const Value&)>
Outcome<Value> is(Call& call) {
  return Value(holds(call.self));
}

bool is_defined(const Value& value) { return !value.is(Kind::undefined); }
bool is_true(const Value& value) { return value.is(Kind::boolean) && value.as_bool(); }
bool is_false(const Value& value) { return value.is(Kind::boolean) && !value.as_bool(); }
bool is_callable(const Value& value) { return value.is(Kind::callable) && !value.as_callable().cycler; }
bool is_escaped(const Value& value) { return value.is(Kind::text) && value.as_text().markup; }

bool is_sequence(const Value& value) {
  if (!value.is(Kind::list)) return value.is(Kind::text) || value.is(Kind::dict) || value.is(Kind::undefined);
  const ListKind kind = value.as_list().kind;
  return kind == ListKind::list || kind == ListKind::tuple || kind == ListKind::range;
}

// islower() and isupper(): some letter has case, and none the other one.
template <bool (*wanted)(std::uint32_t), bool (*other)(std::uint32_t)>
Outcome<Value> is_cased(Call& call) {
  JINJA_TRY(text, str(call.run, call.self));
  JINJA_CHECK(call.run.budget.spend_characters(text.size()));
  bool found = false;
  for (std::size_t at = 0; at < text.size(); at += unicode::at(text, at).bytes) {
    const std::uint32_t code = unicode::at(text, at).code;
    if (other(code)) return Value(false);
    found = found || wanted(code);
  }
  return Value(found);
}

template <int remainder>
Outcome<Value> is_odd_or_even(Call& call) {
  if (!is_numeric(call.self)) return call.refuse("a number", call.self);
  JINJA_TRY(rest, number_operation('%', call.self, Value(std::int64_t{2})));
  return Value(to_real(rest) == remainder);
}

Outcome<Value> is_divisible(Call& call) {
  if (!is_numeric(call.self)) return call.refuse("a number", call.self);
  if (!is_numeric(call.at(0))) return call.refuse("a number", call.at(0));
  JINJA_TRY(rest, number_operation('%', call.self, call.at(0)));
  return Value(to_real(rest) == 0);
}

Outcome<Value> is_filter(Call& call) {
  return Value(call.self.is(Kind::text) && find_filter(call.self.as_bytes()) != nullptr);
}
Outcome<Value> is_test(Call& call) {
  return Value(call.self.is(Kind::text) && find_test(call.self.as_bytes()) != nullptr);
}

constexpr auto kTests = std::to_array<Builtin>({
    {"defined", "", is<is_defined>},
    {"undefined", "", is_kind<Kind::undefined>},
    {"none", "", is_kind<Kind::none>},
    {"boolean", "", is_kind<Kind::boolean>},
    {"true", "", is<is_true>},
    {"false", "", is<is_false>},
    {"integer", "", is_kind<Kind::integer>},
    {"float", "", is_kind<Kind::real>},
    {"number", "", is<is_numeric>},
    {"string", "", is_kind<Kind::text>},
    {"mapping", "", is_kind<Kind::dict>},
    {"iterable", "", is<is_iterable>},
    {"sequence", "", is<is_sequence>},
    {"callable", "", is<is_callable>},
    {"escaped", "", is<is_escaped>},
    {"lower", "", is_cased<unicode::is_lower, unicode::is_upper>},
    {"upper", "", is_cased<unicode::is_upper, unicode::is_lower>},
    {"odd", "", is_odd_or_even<1>},
    {"even", "", is_odd_or_even<0>},
    {"divisibleby", "num!", is_divisible},
    {"filter", "", is_filter},
    {"test", "", is_test},
});

}  // namespace

Table tests() { return kTests; }

}  // namespace serveloop::text::jinja
