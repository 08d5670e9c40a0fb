#include "text/jinja/access.hpp"
#include "text/jinja/compare.hpp"
#include "text/jinja/interpreter.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

using Type = Expression::Type;

Outcome<Value> Interpreter::evaluate(const Expression& expression) {
  JINJA_CHECK(run_.spend(1));
  if (expression.type == Type::literal) return expression.value;
  if (expression.type == Type::name) return evaluate_name(expression);
  const Nesting nesting(run_);
  JINJA_CHECK(nesting.check());
  auto value = evaluate_node(expression);
  if (!value && value.error()->line == 0) value.error()->line = expression.line;
  return value;
}

Outcome<Value> Interpreter::evaluate_node(const Expression& expression) {
  switch (expression.type) {
    case Type::literal: return expression.value;
    case Type::name: return evaluate_name(expression);
    case Type::list:
    case Type::tuple: return evaluate_list(expression);
    case Type::dict: return evaluate_dict(expression);
    case Type::attribute: {
      JINJA_TRY(object, evaluate(*expression.parts[0]));
      return get_attribute(run_, object, expression.text);
    }
    case Type::item: return evaluate_item(expression);
    case Type::slice: return evaluate_slice(expression);
    case Type::call: return evaluate_call(expression);
    case Type::filter: return apply_filters(expression, Value());
    case Type::test: return evaluate_test(expression);
    case Type::negate:
    case Type::plus: return evaluate_sign(expression);
    case Type::invert: {
      JINJA_TRY(operand, evaluate(*expression.parts[0]));
      return Value(!operand.truth());
    }
    case Type::both:
    case Type::either: {
      JINJA_TRY(left, evaluate(*expression.parts[0]));
      if (left.truth() == (expression.type == Type::either)) return std::move(left);
      return evaluate(*expression.parts[1]);
    }
    case Type::arithmetic: return evaluate_arithmetic(expression);
    case Type::concat: return evaluate_concat(expression);
    case Type::compare: return evaluate_compare(expression);
    case Type::conditional: return evaluate_conditional(expression);
  }
  return Value();
}

Outcome<Value> Interpreter::evaluate_name(const Expression& name) {
  if (const Value* found = scope_->find(name.symbol)) return *found;
  JINJA_CHECK(run_.budget.spend_bytes(name.text.size()));
  if (const Builtin* global = find_global(name.text)) {
    Callable made;
    made.builtin = global;
    return run_.callable(std::move(made));
  }
  return run_.undefined("'" + shortened(name.text) + "' is undefined");
}

Outcome<Value> Interpreter::evaluate_list(const Expression& list) {
  JINJA_CHECK(run_.reserve_items(list.parts.size()));
  std::vector<Value> items;
  items.reserve(list.parts.size());
  for (const Expression* part : list.parts) {
    JINJA_TRY(item, evaluate(*part));
    items.push_back(std::move(item));
  }
  return run_.list(std::move(items), list.type == Type::tuple ? ListKind::tuple : ListKind::list);
}

Outcome<Value> Interpreter::evaluate_dict(const Expression& dict) {
  JINJA_CHECK(run_.reserve_items(dict.parts.size()));
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(dict.parts.size() / 2);
  for (std::size_t i = 0; i < dict.parts.size(); i += 2) {
    JINJA_TRY(key, evaluate(*dict.parts[i]));
    JINJA_TRY(value, evaluate(*dict.parts[i + 1]));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return run_.dict(std::move(entries));
}

Outcome<Value> Interpreter::evaluate_item(const Expression& item) {
  JINJA_TRY(object, evaluate(*item.parts[0]));
  JINJA_TRY(key, evaluate(*item.parts[1]));
  return get_item(run_, object, key);
}

Outcome<Value> Interpreter::evaluate_slice(const Expression& slice) {
  JINJA_TRY(object, evaluate(*slice.parts[0]));
  Value bounds[3] = {Value(None{}), Value(None{}), Value(None{})};
  for (std::size_t i = 0; i < 3; ++i) {
    if (slice.parts[i + 1] == nullptr) continue;
    JINJA_TRY(bound, evaluate(*slice.parts[i + 1]));
    bounds[i] = std::move(bound);
  }
  return get_slice(run_, object, bounds[0], bounds[1], bounds[2]);
}

Outcome<Value> Interpreter::evaluate_sign(const Expression& sign) {
  JINJA_TRY(operand, evaluate(*sign.parts[0]));
  if (operand.is(Kind::undefined)) return undefined_fault(operand);
  if (!is_numeric(operand))
    return fault("a sign before a value of type '" + std::string(operand.type_name()) + "'");
  if (operand.is(Kind::real))
    return Value(sign.type == Type::negate ? -operand.as_real() : operand.as_real());
  return number_operation(sign.type == Type::negate ? '-' : '+', Value(std::int64_t{0}), operand);
}

Outcome<Value> Interpreter::evaluate_arithmetic(const Expression& arithmetic) {
  JINJA_TRY(left, evaluate(*arithmetic.parts[0]));
  JINJA_TRY(right, evaluate(*arithmetic.parts[1]));
  return operate(run_, arithmetic.op, left, right);
}

Outcome<Value> Interpreter::evaluate_concat(const Expression& concat) {
  std::string joined;
  for (const Expression* part : concat.parts) {
    JINJA_TRY(value, evaluate(*part));
    JINJA_TRY(text, str(run_, value));
    JINJA_CHECK(run_.reserve_text(joined.size() + text.size()));
    joined += text;
  }
  return run_.text(std::move(joined));
}

Outcome<Value> Interpreter::evaluate_compare(const Expression& chain) {
  JINJA_TRY(first, evaluate(*chain.parts[0]));
  Value left = std::move(first);
  for (std::size_t i = 0; i < chain.operators.size(); ++i) {
    JINJA_TRY(right, evaluate(*chain.parts[i + 1]));
    const std::string& op = chain.operators[i];
    if (op == "in" || op == "not in") {
      JINJA_TRY(found, contains(run_, right, left));
      if (found != (op == "in")) return Value(false);
    } else {
      JINJA_TRY(holds, compare(run_, op, left, right));
      if (!holds) return Value(false);
    }
    left = std::move(right);
  }
  return Value(true);
}

Outcome<Value> Interpreter::evaluate_conditional(const Expression& conditional) {
  JINJA_TRY(condition, evaluate(*conditional.parts[0]));
  if (condition.truth()) return evaluate(*conditional.parts[1]);
  if (conditional.parts[2] != nullptr) return evaluate(*conditional.parts[2]);
  return run_.undefined("the inline if-expression on line " + std::to_string(conditional.line) +
                        " evaluated to false and no else section was defined");
}

}  // namespace serveloop::text::jinja
