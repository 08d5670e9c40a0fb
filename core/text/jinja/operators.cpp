// Sizes are checked before anything is repeated or joined.
#include "text/jinja/operators.hpp"

#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

namespace {

tl::unexpected<Fault> unsupported(char op, const Value& a, const Value& b) {
  if (a.is(Kind::undefined)) return undefined_fault(a);
  if (b.is(Kind::undefined)) return undefined_fault(b);
  const std::string name = op == 'f' ? "//" : op == 'p' ? "**" : std::string(1, op);
  return fault("unsupported operand types for " + name + ": '" + std::string(a.type_name()) + "' and '" +
               std::string(b.type_name()) + "'");
}

Outcome<Value> join_texts(Run& run, const Text& a, const Text& b) {
  JINJA_CHECK(run.reserve_text(a.bytes.size() + b.bytes.size()));
  if (a.markup == b.markup) {
    std::string joined;
    joined.reserve(a.bytes.size() + b.bytes.size());
    return run.text((joined += a.bytes) += b.bytes, a.markup);
  }
  JINJA_CHECK(run.reserve_text(6 * (a.bytes.size() + b.bytes.size())));
  return run.text((a.markup ? a.bytes : escaped(a.bytes)) + (b.markup ? b.bytes : escaped(b.bytes)), true);
}

Outcome<Value> join_lists(Run& run, const List& a, const List& b) {
  JINJA_CHECK(run.reserve_items(a.items.size() + b.items.size()));
  std::vector<Value> items;
  items.reserve(a.items.size() + b.items.size());
  items.insert(items.end(), a.items.begin(), a.items.end());
  items.insert(items.end(), b.items.begin(), b.items.end());
  return run.list(std::move(items), a.kind);
}

// text * count and list * count; a count below 1 makes nothing.
Outcome<Value> repeat(Run& run, const Value& value, std::int64_t count) {
  const bool text = value.is(Kind::text);
  const std::size_t size = text ? value.as_bytes().size() : value.as_list().items.size();
  std::size_t total = 0;
  if (count < 0 || size == 0) count = 0;
  if (__builtin_mul_overflow(size, static_cast<std::size_t>(count), &total) ||
      total > run.budget.limits().value_bytes)
    return tl::unexpected(std::move(run.budget.room_for(~std::size_t{0}).error()));
  if (text) {
    JINJA_CHECK(run.reserve_text(total));
    std::string out;
    out.reserve(total);
    while (out.size() < total) out += value.as_bytes();
    return run.text(std::move(out), value.as_text().markup);
  }
  JINJA_CHECK(run.reserve_items(total));
  std::vector<Value> items;
  items.reserve(total);
  const std::vector<Value>& once = value.as_list().items;
  while (items.size() < total) items.insert(items.end(), once.begin(), once.end());
  return run.list(std::move(items), value.as_list().kind);
}

bool is_sequence(const Value& value) {
  return value.is(Kind::text) || (value.is(Kind::list) && (value.as_list().kind == ListKind::list ||
                                                           value.as_list().kind == ListKind::tuple));
}

}  // namespace

Outcome<Value> operate(Run& run, char op, const Value& a, const Value& b) {
  if (is_numeric(a) && is_numeric(b)) return number_operation(op, a, b);
  if (op == '+') {
    if (a.is(Kind::text) && b.is(Kind::text)) return join_texts(run, a.as_text(), b.as_text());
    if (is_sequence(a) && is_sequence(b) && a.is(Kind::list) && b.is(Kind::list) &&
        a.as_list().kind == b.as_list().kind)
      return join_lists(run, a.as_list(), b.as_list());
  }
  if (op == '*') {
    if (is_sequence(a) && (b.is(Kind::integer) || b.is(Kind::boolean))) return repeat(run, a, to_int(b));
    if (is_sequence(b) && (a.is(Kind::integer) || a.is(Kind::boolean))) return repeat(run, b, to_int(a));
  }
  if (op == '%' && a.is(Kind::text)) return printf_format(run, a, b);
  return unsupported(op, a, b);
}

}  // namespace serveloop::text::jinja
