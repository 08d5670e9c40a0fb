// Tests that compare with another value, by all their names.
#include <array>

#include "text/jinja/builtin.hpp"
#include "text/jinja/compare.hpp"

namespace serveloop::text::jinja {

namespace {

enum class Op : std::uint8_t { eq, ne, lt, le, gt, ge };
constexpr std::string_view kNames[] = {"==", "!=", "<", "<=", ">", ">="};

template <Op op>
Outcome<Value> is(Call& call) {
  JINJA_TRY(holds, compare(call.run, kNames[static_cast<std::size_t>(op)], call.self, call.at(0)));
  return Value(holds);
}

Outcome<Value> is_in(Call& call) {
  JINJA_TRY(found, contains(call.run, call.at(0), call.self));
  return Value(found);
}

Outcome<Value> is_same(Call& call) {
  if (call.self.identity() != nullptr || call.at(0).identity() != nullptr)
    return Value(call.self.identity() == call.at(0).identity());
  if (call.self.kind() != call.at(0).kind()) return Value(false);
  JINJA_TRY(same, equal(call.run, call.self, call.at(0)));
  return Value(same);
}

constexpr auto kTests = std::to_array<Builtin>({
    {"eq", "value!", is<Op::eq>},
    {"equalto", "value!", is<Op::eq>},
    {"==", "value!", is<Op::eq>},
    {"ne", "value!", is<Op::ne>},
    {"!=", "value!", is<Op::ne>},
    {"lt", "value!", is<Op::lt>},
    {"lessthan", "value!", is<Op::lt>},
    {"<", "value!", is<Op::lt>},
    {"le", "value!", is<Op::le>},
    {"<=", "value!", is<Op::le>},
    {"gt", "value!", is<Op::gt>},
    {"greaterthan", "value!", is<Op::gt>},
    {">", "value!", is<Op::gt>},
    {"ge", "value!", is<Op::ge>},
    {">=", "value!", is<Op::ge>},
    {"in", "seq!", is_in},
    {"sameas", "other!", is_same},
});

}  // namespace

Table order_tests() { return kTests; }

}  // namespace serveloop::text::jinja
