// A chain of operators of one precedence is read in a loop; only brackets, signs, `not` and else-branches recurse.
#include <algorithm>
#include <array>

#include "text/jinja/parser.hpp"

namespace serveloop::text::jinja {

using Type = Expression::Type;

Expression& Parser::expression(Type type) {
  Expression& made = template_->expressions.emplace_back();
  made.type = type;
  made.line = now().line;
  return made;
}

Expression& Parser::unary(Type type, const Expression* operand) {
  Expression& made = expression(type);
  made.parts = {operand};
  return made;
}

Parser::Parsed Parser::parse_expression(bool with_condition) {
  JINJA_CHECK(deeper());
  Parsed parsed = with_condition ? parse_conditional() : parse_either();
  --depth_;
  return parsed;
}

Parser::Parsed Parser::parse_conditional() {
  JINJA_TRY(first, parse_either());
  const Expression* value = first;
  while (skip_word("if")) {
    JINJA_TRY(condition, parse_either());
    const Expression* other = nullptr;
    if (skip_word("else")) {
      JINJA_TRY(parsed, parse_expression());
      other = parsed;
    }
    Expression& made = expression(Type::conditional);
    made.parts = {condition, value, other};
    value = &made;
  }
  return value;
}

Parser::Parsed Parser::parse_either() {
  JINJA_TRY(first, parse_both());
  const Expression* left = first;
  while (skip_word("or")) {
    JINJA_TRY(right, parse_both());
    Expression& made = unary(Type::either, left);
    made.parts.push_back(right);
    left = &made;
  }
  return left;
}

Parser::Parsed Parser::parse_both() {
  JINJA_TRY(first, parse_invert());
  const Expression* left = first;
  while (skip_word("and")) {
    JINJA_TRY(right, parse_invert());
    Expression& made = unary(Type::both, left);
    made.parts.push_back(right);
    left = &made;
  }
  return left;
}

Parser::Parsed Parser::parse_invert() {
  if (!skip_word("not")) return parse_compare();
  JINJA_CHECK(deeper());
  Parsed operand = parse_invert();
  --depth_;
  if (!operand) return operand;
  return &unary(Type::invert, *operand);
}

Parser::Parsed Parser::parse_compare() {
  static constexpr std::array<std::string_view, 6> kOps = {"==", "!=", "<", "<=", ">", ">="};
  JINJA_TRY(first, parse_sum());
  Expression* chain = nullptr;
  for (;;) {
    std::string op;
    if (now().type == TokenType::op && std::find(kOps.begin(), kOps.end(), now().text) != kOps.end()) {
      op = now().text;
    } else if (is_word("in")) {
      op = "in";
    } else if (is_word("not") && next().type == TokenType::name && next().text == "in") {
      op = "not in";
      step();
    } else {
      return chain != nullptr ? chain : first;
    }
    step();
    JINJA_TRY(right, parse_sum());
    if (chain == nullptr) chain = &unary(Type::compare, first);
    chain->operators.push_back(std::move(op));
    chain->parts.push_back(right);
  }
}

Parser::Parsed Parser::parse_sum() {
  JINJA_TRY(first, parse_concat());
  const Expression* left = first;
  while (is_op("+") || is_op("-")) {
    const char op = now().text[0];
    step();
    JINJA_TRY(right, parse_concat());
    Expression& made = unary(Type::arithmetic, left);
    made.op = op;
    made.parts.push_back(right);
    left = &made;
  }
  return left;
}

Parser::Parsed Parser::parse_concat() {
  JINJA_TRY(first, parse_product());
  if (!is_op("~")) return first;
  Expression& made = unary(Type::concat, first);
  while (skip_op("~")) {
    JINJA_TRY(right, parse_product());
    made.parts.push_back(right);
  }
  return &made;
}

Parser::Parsed Parser::parse_product() {
  JINJA_TRY(first, parse_power());
  const Expression* left = first;
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    const char op = now().text == "//" ? 'f' : now().text[0];
    step();
    JINJA_TRY(right, parse_power());
    Expression& made = unary(Type::arithmetic, left);
    made.op = op;
    made.parts.push_back(right);
    left = &made;
  }
  return left;
}

Parser::Parsed Parser::parse_power() {
  JINJA_TRY(first, parse_unary(true));
  const Expression* left = first;
  while (skip_op("**")) {
    JINJA_TRY(right, parse_unary(true));
    Expression& made = unary(Type::arithmetic, left);
    made.op = 'p';
    made.parts.push_back(right);
    left = &made;
  }
  return left;
}

Parser::Parsed Parser::parse_unary(bool with_filters) {
  JINJA_CHECK(deeper());
  Parsed parsed = parse_signed(with_filters);
  --depth_;
  return parsed;
}

Parser::Parsed Parser::parse_signed(bool with_filters) {
  const Expression* value = nullptr;
  if (is_op("-") || is_op("+")) {
    const Type type = is_op("-") ? Type::negate : Type::plus;
    step();
    JINJA_TRY(operand, parse_unary(false));
    value = &unary(type, operand);
  } else {
    JINJA_TRY(primary, parse_primary());
    value = primary;
  }
  JINJA_TRY(whole, parse_postfix(value));
  return with_filters ? parse_filters(whole) : Parsed(whole);
}

Parser::Parsed Parser::parse_postfix(const Expression* operand) {
  for (;;) {
    Parsed parsed = operand;
    if (is_op(".")) {
      parsed = parse_attribute(operand);
    } else if (is_op("[")) {
      parsed = parse_subscript(operand);
    } else if (is_op("(")) {
      parsed = parse_call(operand);
    } else {
      return operand;
    }
    if (!parsed) return parsed;
    operand = *parsed;
  }
}

Parser::Parsed Parser::parse_filters(const Expression* operand) {
  for (;;) {
    Parsed parsed = operand;
    if (skip_op("|")) {
      parsed = parse_filter_chain(operand);
    } else if (skip_word("is")) {
      parsed = parse_test(operand);
    } else if (is_op("(")) {
      parsed = parse_call(operand);
    } else {
      return operand;
    }
    if (!parsed) return parsed;
    operand = *parsed;
  }
}

}  // namespace serveloop::text::jinja
