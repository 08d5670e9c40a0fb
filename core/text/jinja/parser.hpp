// Tokens -> a template. Threads: pure functions. Source: Jinja's documentation of template syntax; precedence, from
// loose to tight: if-else, or, and, not, comparisons and `in`, + and -, ~, * / // %, **, sign, filters and tests.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "text/jinja/ast.hpp"
#include "text/jinja/lexer.hpp"

namespace serveloop::text::jinja {

Outcome<std::shared_ptr<const Template>> parse(std::string_view source);  // of at most kMaxTemplateBytes

// The two halves of the grammar share this; parse_expression.cpp and parse_statement.cpp.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Outcome<std::shared_ptr<const Template>> run();

 private:
  using Parsed = Outcome<const Expression*>;
  using Made = Outcome<const Statement*>;

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_op(std::string_view op) const { return now().type == TokenType::op && now().text == op; }
  bool is_word(std::string_view word) const { return now().type == TokenType::name && now().text == word; }
  void step() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool skip_op(std::string_view op);
  bool skip_word(std::string_view word);
  Done expect_op(std::string_view op);
  Outcome<std::string> expect_name();
  tl::unexpected<Fault> unexpected(std::string_view wanted) const;  // names the token that stands here
  Done deeper();  // fails beyond kMaxParseDepth; each is undone by --depth_

  Expression& expression(Expression::Type type);
  Expression& unary(Expression::Type type, const Expression* operand);
  Statement& statement(Statement::Type type);

  // Expressions.
  Parsed parse_expression(bool with_condition = true);
  Parsed parse_conditional();
  Parsed parse_either();
  Parsed parse_both();
  Parsed parse_invert();
  Parsed parse_compare();
  Parsed parse_sum();
  Parsed parse_concat();
  Parsed parse_product();
  Parsed parse_power();
  Parsed parse_unary(bool with_filters);
  Parsed parse_signed(bool with_filters);
  Parsed parse_primary();
  Parsed parse_word();
  Parsed parse_number();
  Parsed parse_list();
  Parsed parse_dict();
  Parsed parse_tuple(bool with_condition, bool parenthesized);
  bool tuple_ends() const;
  Parsed parse_postfix(const Expression* operand);
  Parsed parse_filters(const Expression* operand);
  Parsed parse_attribute(const Expression* operand);
  Parsed parse_subscript(const Expression* operand);
  Parsed parse_slice(const Expression* operand, const Expression* first, std::uint32_t line);
  Parsed parse_call(const Expression* callee);
  Parsed parse_filter_chain(const Expression* operand);  // stands at the name of its first filter
  Parsed parse_test(const Expression* operand);
  Done parse_arguments(std::vector<Argument>& into);
  Outcome<std::string> dotted_name();

  // Statements.
  Done parse_body(Body& into, std::initializer_list<std::string_view> ends);
  Done parse_until(Body& into, std::string_view end);  // the end's tag too
  Made parse_statement();
  Made parse_if();
  Made parse_for();
  Made parse_set();
  Made parse_macro();
  Made parse_call_block();
  Made parse_filter_block();
  Made parse_with();
  Made parse_generation();
  Made parse_loop_control(Statement::Type type);
  Done parse_signature(std::vector<Parameter>& into);
  Done parse_macro_body(Statement& macro, std::string_view end);
  Outcome<Target> parse_target();
  Outcome<Target> parse_one_target();
  Done expect_block_end();

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
  std::uint32_t loops_ = 0;         // around this point, within the macro
  std::vector<Statement*> macros_;  // around this point
  std::shared_ptr<Template> template_ = std::make_shared<Template>();
};

}  // namespace serveloop::text::jinja
