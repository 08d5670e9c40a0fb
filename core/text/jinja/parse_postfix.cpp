// What follows an operand: attributes, items, calls, filters and tests.
#include <algorithm>

#include "text/jinja/number.hpp"
#include "text/jinja/parser.hpp"

namespace serveloop::text::jinja {

using Type = Expression::Type;

Parser::Parsed Parser::parse_attribute(const Expression* operand) {
  step();
  Expression& made = unary(Type::attribute, operand);
  if (now().type == TokenType::name) {
    made.text = now().text;
    step();
    return &made;
  }
  if (now().type != TokenType::integer) return unexpected("an attribute's name");
  JINJA_TRY(index, parse_number());
  made.type = Type::item;
  made.parts.push_back(index);
  return &made;
}

Parser::Parsed Parser::parse_subscript(const Expression* operand) {
  const std::uint32_t line = now().line;
  step();
  const Expression* first = nullptr;
  if (!is_op(":")) {
    JINJA_TRY(parsed, parse_expression());
    first = parsed;
  }
  if (is_op(":")) return parse_slice(operand, first, line);
  if (is_op(",")) {
    Expression& tuple = unary(Type::tuple, first);
    while (skip_op(",")) {
      if (is_op("]")) break;
      JINJA_TRY(part, parse_expression());
      tuple.parts.push_back(part);
    }
    first = &tuple;
  }
  JINJA_CHECK(expect_op("]"));
  Expression& made = unary(Type::item, operand);
  made.line = line;
  made.parts.push_back(first);
  return &made;
}

Parser::Parsed Parser::parse_slice(const Expression* operand, const Expression* first, std::uint32_t line) {
  Expression& made = unary(Type::slice, operand);
  made.line = line;
  made.parts.push_back(first);
  while (skip_op(":") && made.parts.size() < 4) {
    const Expression* bound = nullptr;
    if (!is_op(":") && !is_op("]")) {
      JINJA_TRY(parsed, parse_expression());
      bound = parsed;
    }
    made.parts.push_back(bound);
  }
  made.parts.resize(4, nullptr);
  JINJA_CHECK(expect_op("]"));
  return &made;
}

Parser::Parsed Parser::parse_call(const Expression* callee) {
  Expression& made = unary(Type::call, callee);
  JINJA_CHECK(parse_arguments(made.arguments));
  return &made;
}

Done Parser::parse_arguments(std::vector<Argument>& into) {
  JINJA_CHECK(expect_op("("));
  bool named = false, spread = false;
  while (!is_op(")")) {
    if (!into.empty()) {
      JINJA_CHECK(expect_op(","));
      if (is_op(")")) break;
    }
    Argument argument;
    if (skip_op("**")) {
      argument.type = Argument::Type::spread_dict;
      spread = true;
    } else if (skip_op("*")) {
      if (spread) return fault("*arguments after **arguments");
      argument.type = Argument::Type::spread_list;
      named = true;
    } else if (now().type == TokenType::name && next().type == TokenType::op && next().text == "=") {
      if (spread) return fault("a named argument after **arguments");
      argument.type = Argument::Type::named;
      argument.name = now().text;
      named = true;
      step();
      step();
    } else if (named || spread) {
      return fault("a positional argument after named ones");
    }
    JINJA_TRY(value, parse_expression());
    argument.value = value;
    into.push_back(std::move(argument));
  }
  step();
  return {};
}

Outcome<std::string> Parser::dotted_name() {
  JINJA_TRY(name, expect_name());
  while (skip_op(".")) {
    JINJA_TRY(more, expect_name());
    name += '.' + more;
  }
  return std::move(name);
}

Parser::Parsed Parser::parse_filter_chain(const Expression* operand) {
  do {
    Expression& made = unary(Type::filter, operand);
    JINJA_TRY(name, dotted_name());
    made.text = std::move(name);
    if (is_op("(")) JINJA_CHECK(parse_arguments(made.arguments));
    operand = &made;
  } while (skip_op("|"));
  return operand;
}

Parser::Parsed Parser::parse_test(const Expression* operand) {
  const bool inverted = skip_word("not");
  Expression& made = unary(Type::test, operand);
  JINJA_TRY(name, dotted_name());
  made.text = std::move(name);
  const TokenType type = now().type;
  const bool operand_follows = type == TokenType::name || type == TokenType::string ||
                               type == TokenType::integer || type == TokenType::real || is_op("[") ||
                               is_op("{");
  if (is_op("(")) {
    JINJA_CHECK(parse_arguments(made.arguments));
  } else if (operand_follows && !is_word("else") && !is_word("or") && !is_word("and")) {
    if (is_word("is")) return fault("tests cannot be chained with 'is'");
    JINJA_TRY(primary, parse_primary());
    JINJA_TRY(argument, parse_postfix(primary));
    made.arguments.push_back({Argument::Type::positional, {}, argument});
  }
  return inverted ? &unary(Type::invert, &made) : &made;
}

}  // namespace serveloop::text::jinja
