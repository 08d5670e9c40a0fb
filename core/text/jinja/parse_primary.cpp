// Operands: names, literals, lists, dicts, tuples.
#include "text/jinja/number.hpp"
#include "text/jinja/parser.hpp"

namespace serveloop::text::jinja {

using Type = Expression::Type;

Parser::Parsed Parser::parse_primary() {
  switch (now().type) {
    case TokenType::name: return parse_word();
    case TokenType::integer:
    case TokenType::real: return parse_number();
    case TokenType::string: {
      Expression& made = expression(Type::literal);
      std::string text;
      for (; now().type == TokenType::string; step()) text += now().text;
      made.value = Value::text(std::move(text));
      return &made;
    }
    default: break;
  }
  if (skip_op("(")) {
    JINJA_TRY(inner, parse_tuple(true, true));
    JINJA_CHECK(expect_op(")"));
    return inner;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  return unexpected("an expression");
}

Parser::Parsed Parser::parse_word() {
  const std::string& word = now().text;
  Expression& made = expression(Type::literal);
  if (word == "true" || word == "True") {
    made.value = Value(true);
  } else if (word == "false" || word == "False") {
    made.value = Value(false);
  } else if (word == "none" || word == "None") {
    made.value = Value(None{});
  } else {
    made.type = Type::name;
    made.text = word;
    made.symbol = template_->symbol(word);
    for (Statement* macro : macros_) {
      macro->uses_varargs |= word == "varargs";
      macro->uses_kwargs |= word == "kwargs";
      macro->uses_caller |= word == "caller";
    }
  }
  step();
  return &made;
}

Parser::Parsed Parser::parse_number() {
  Expression& made = expression(Type::literal);
  if (now().type == TokenType::real) {
    const auto number = read_real(now().text);
    if (!number) return unexpected("a number");
    made.value = Value(*number);
  } else {
    const auto number = read_int(now().text, 0);
    if (!number) return fault("an integer beyond 64 bits");
    made.value = Value(*number);
  }
  step();
  return &made;
}

Parser::Parsed Parser::parse_list() {
  Expression& made = expression(Type::list);
  step();
  while (!is_op("]")) {
    if (!made.parts.empty()) {
      JINJA_CHECK(expect_op(","));
      if (is_op("]")) break;
    }
    JINJA_TRY(item, parse_expression());
    made.parts.push_back(item);
  }
  step();
  return &made;
}

Parser::Parsed Parser::parse_dict() {
  Expression& made = expression(Type::dict);
  step();
  while (!is_op("}")) {
    if (!made.parts.empty()) {
      JINJA_CHECK(expect_op(","));
      if (is_op("}")) break;
    }
    JINJA_TRY(key, parse_expression());
    JINJA_CHECK(expect_op(":"));
    JINJA_TRY(value, parse_expression());
    made.parts.insert(made.parts.end(), {key, value});
  }
  step();
  return &made;
}

bool Parser::tuple_ends() const {
  return now().type == TokenType::variable_end || now().type == TokenType::block_end || is_op(")");
}

Parser::Parsed Parser::parse_tuple(bool with_condition, bool parenthesized) {
  std::vector<const Expression*> parts;
  bool tuple = false;
  for (;;) {
    if (tuple_ends()) break;
    JINJA_TRY(part, parse_expression(with_condition));
    parts.push_back(part);
    if (!skip_op(",")) break;
    tuple = true;
  }
  if (!tuple && !parts.empty()) return parts[0];
  if (!tuple && !parenthesized) return unexpected("an expression");
  Expression& made = expression(Type::tuple);
  made.parts = std::move(parts);
  return &made;
}

}  // namespace serveloop::text::jinja
