#include <algorithm>

#include "text/jinja/parser.hpp"

namespace serveloop::text::jinja {

using Type = Statement::Type;

Statement& Parser::statement(Type type) {
  Statement& made = template_->statements.emplace_back();
  made.type = type;
  made.line = now().line;
  return made;
}

Done Parser::parse_body(Body& into, std::initializer_list<std::string_view> ends) {
  JINJA_CHECK(deeper());
  for (;;) {
    const TokenType type = now().type;
    if (type == TokenType::end) {
      if (ends.size() != 0) return fault("the template ends before '" + std::string(*ends.begin()) + "'");
      break;
    }
    if (type == TokenType::data) {
      Statement& made = statement(Type::text);
      made.text = now().text;
      into.push_back(&made);
      step();
    } else if (type == TokenType::variable_begin) {
      step();
      Statement& made = statement(Type::print);
      JINJA_TRY(value, parse_tuple(true, false));
      made.value = value;
      if (now().type != TokenType::variable_end) return unexpected("'}}'");
      step();
      into.push_back(&made);
    } else {
      step();  // of a block's begin
      if (now().type == TokenType::name && std::find(ends.begin(), ends.end(), now().text) != ends.end())
        break;
      JINJA_TRY(made, parse_statement());
      into.push_back(made);
    }
  }
  --depth_;
  return {};
}

Done Parser::parse_until(Body& into, std::string_view end) {
  JINJA_CHECK(parse_body(into, {end}));
  step();
  return expect_block_end();
}

Parser::Made Parser::parse_statement() {
  if (skip_word("if")) return parse_if();
  if (skip_word("for")) return parse_for();
  if (skip_word("set")) return parse_set();
  if (skip_word("macro")) return parse_macro();
  if (skip_word("call")) return parse_call_block();
  if (skip_word("filter")) return parse_filter_block();
  if (skip_word("with")) return parse_with();
  if (skip_word("generation")) return parse_generation();
  if (skip_word("break")) return parse_loop_control(Type::break_loop);
  if (skip_word("continue")) return parse_loop_control(Type::continue_loop);
  return unexpected("a tag that chat templates may use (if, for, set, macro, ...)");
}

Parser::Made Parser::parse_if() {
  Statement& made = statement(Type::branch);
  for (;;) {
    JINJA_TRY(condition, parse_tuple(false, false));
    JINJA_CHECK(expect_block_end());
    made.conditions.push_back(condition);
    JINJA_CHECK(parse_body(made.bodies.emplace_back(), {"endif", "elif", "else"}));
    if (!skip_word("elif")) break;
  }
  if (skip_word("else")) {
    JINJA_CHECK(expect_block_end());
    JINJA_CHECK(parse_body(made.bodies.emplace_back(), {"endif"}));
  }
  step();
  JINJA_CHECK(expect_block_end());
  return &made;
}

Parser::Made Parser::parse_for() {
  Statement& made = statement(Type::loop);
  JINJA_TRY(target, parse_target());
  made.targets.push_back(std::move(target));
  if (!skip_word("in")) return unexpected("'in'");
  JINJA_TRY(value, parse_tuple(false, false));
  made.value = value;
  if (skip_word("if")) {
    JINJA_TRY(condition, parse_expression());
    made.condition = condition;
  }
  if (is_word("recursive")) return fault("recursive loops are not supported");
  JINJA_CHECK(expect_block_end());
  made.bodies.resize(2);
  ++loops_;
  JINJA_CHECK(parse_body(made.bodies[0], {"endfor", "else"}));
  --loops_;
  if (skip_word("else")) {
    JINJA_CHECK(expect_block_end());
    JINJA_CHECK(parse_body(made.bodies[1], {"endfor"}));
  }
  step();
  JINJA_CHECK(expect_block_end());
  return &made;
}

Parser::Made Parser::parse_loop_control(Type type) {
  if (loops_ == 0) return fault("'break' and 'continue' stand in loops");
  Statement& made = statement(type);
  JINJA_CHECK(expect_block_end());
  return &made;
}

Parser::Made Parser::parse_set() {
  Statement& made = statement(Type::set);
  JINJA_TRY(target, parse_target());
  made.targets.push_back(std::move(target));
  if (skip_op("=")) {
    JINJA_TRY(value, parse_tuple(true, false));
    made.value = value;
    JINJA_CHECK(expect_block_end());
    return &made;
  }
  made.type = Type::set_block;
  if (skip_op("|")) {
    JINJA_TRY(chain, parse_filter_chain(nullptr));
    made.value = chain;
  }
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_until(made.bodies.emplace_back(), "endset"));
  return &made;
}

Parser::Made Parser::parse_macro() {
  Statement& made = statement(Type::macro);
  JINJA_TRY(name, expect_name());
  made.text = name;
  made.symbol = template_->symbol(name);
  JINJA_CHECK(parse_signature(made.parameters));
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_macro_body(made, "endmacro"));
  return &made;
}

Parser::Made Parser::parse_call_block() {
  Statement& made = statement(Type::call_block);
  if (is_op("(")) JINJA_CHECK(parse_signature(made.parameters));
  JINJA_TRY(call, parse_expression());
  if (call->type != Expression::Type::call) return fault("a call block without a call");
  made.value = call;
  made.text = "caller";
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_macro_body(made, "endcall"));
  return &made;
}

Done Parser::parse_macro_body(Statement& macro, std::string_view end) {
  const std::uint32_t loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  JINJA_CHECK(parse_until(macro.bodies.emplace_back(), end));
  macros_.pop_back();
  loops_ = loops;
  return {};
}

Done Parser::parse_signature(std::vector<Parameter>& into) {
  JINJA_CHECK(expect_op("("));
  while (!is_op(")")) {
    if (!into.empty()) {
      JINJA_CHECK(expect_op(","));
      if (is_op(")")) break;
    }
    Parameter& parameter = into.emplace_back();
    JINJA_TRY(name, expect_name());
    parameter.name = name;
    parameter.symbol = template_->symbol(name);
    if (skip_op("=")) {
      JINJA_TRY(standard, parse_expression());
      parameter.standard = standard;
    } else if (into.size() > 1 && into[into.size() - 2].standard != nullptr) {
      return fault("a parameter without a default after one that has it");
    }
  }
  step();
  return {};
}

Parser::Made Parser::parse_filter_block() {
  Statement& made = statement(Type::filter_block);
  JINJA_TRY(chain, parse_filter_chain(nullptr));
  made.value = chain;
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_until(made.bodies.emplace_back(), "endfilter"));
  return &made;
}

Parser::Made Parser::parse_with() {
  Statement& made = statement(Type::with);
  while (now().type != TokenType::block_end) {
    if (!made.targets.empty()) JINJA_CHECK(expect_op(","));
    JINJA_TRY(target, parse_one_target());
    made.targets.push_back(std::move(target));
    JINJA_CHECK(expect_op("="));
    JINJA_TRY(value, parse_expression());
    made.conditions.push_back(value);
  }
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_until(made.bodies.emplace_back(), "endwith"));
  return &made;
}

Parser::Made Parser::parse_generation() {
  Statement& made = statement(Type::scope);
  JINJA_CHECK(expect_block_end());
  JINJA_CHECK(parse_until(made.bodies.emplace_back(), "endgeneration"));
  return &made;
}

Outcome<Target> Parser::parse_target() {
  JINJA_TRY(first, parse_one_target());
  if (!is_op(",")) return std::move(first);
  Target tuple;
  tuple.type = Target::Type::tuple;
  tuple.parts.push_back(std::move(first));
  while (skip_op(",")) {
    if (is_op("=") || is_op(")") || is_word("in") || now().type == TokenType::block_end) break;
    JINJA_TRY(part, parse_one_target());
    tuple.parts.push_back(std::move(part));
  }
  return tuple;
}

Outcome<Target> Parser::parse_one_target() {
  if (skip_op("(")) {
    JINJA_CHECK(deeper());
    JINJA_TRY(inner, parse_target());
    --depth_;
    JINJA_CHECK(expect_op(")"));
    return std::move(inner);
  }
  Target target;
  JINJA_TRY(name, expect_name());
  static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
  if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved))
    return fault("cannot assign to '" + name + "'");
  target.symbol = template_->symbol(name);
  if (skip_op(".")) {
    target.type = Target::Type::attribute;
    JINJA_TRY(attribute, expect_name());
    target.attribute = std::move(attribute);
  }
  return target;
}

}  // namespace serveloop::text::jinja
