// Walks a template: statements write to an output, expressions have values. Threads: one rendering's own; the
// template is only read. Source: Jinja's documentation of scopes, loops, macros and calls.
#pragma once

#include "text/jinja/ast.hpp"
#include "text/jinja/builtin.hpp"
#include "text/jinja/output.hpp"

namespace serveloop::text::jinja {

class Interpreter {
 public:
  Interpreter(Run& run, std::shared_ptr<Frame> context) : run_(run), scope_(std::move(context)) {}

  Outcome<std::string> render(const Template& parsed);

 private:
  enum class Flow : std::uint8_t { onward, breaks, continues };

  // execute.cpp
  Outcome<Flow> execute(const Body& body);
  Outcome<Flow> execute(const Statement& statement);
  Outcome<Flow> execute_branch(const Statement& branch);
  Outcome<Flow> execute_filter_block(const Statement& block);
  Outcome<Flow> execute_set_block(const Statement& block);
  Outcome<Flow> execute_with(const Statement& with);
  Outcome<Flow> execute_scope(const Body& body);
  Done print(const Value& value);
  Done assign(const Target& target, const Value& value);
  Done assign_tuple(const Target& target, const Value& value);

  // Runs the body in a scope of its own, into a value.
  struct Captured {
    Value text;
    Flow flow = Flow::onward;
  };
  Outcome<Captured> capture(const Body& body);

  // loop.cpp
  Outcome<Flow> execute_loop(const Statement& loop);
  Outcome<std::shared_ptr<const List>> loop_items(const Statement& loop);

  // evaluate.cpp
  Outcome<Value> evaluate(const Expression& expression);
  Outcome<Value> evaluate_node(const Expression& expression);
  Outcome<Value> evaluate_name(const Expression& name);
  Outcome<Value> evaluate_list(const Expression& list);
  Outcome<Value> evaluate_dict(const Expression& dict);
  Outcome<Value> evaluate_item(const Expression& item);
  Outcome<Value> evaluate_slice(const Expression& slice);
  Outcome<Value> evaluate_sign(const Expression& sign);
  Outcome<Value> evaluate_arithmetic(const Expression& arithmetic);
  Outcome<Value> evaluate_concat(const Expression& concat);
  Outcome<Value> evaluate_compare(const Expression& compare);
  Outcome<Value> evaluate_conditional(const Expression& conditional);

  // call.cpp
  Outcome<Value> evaluate_call(const Expression& call);
  Outcome<Value> call_with(const Expression& call, Arguments arguments);
  // `head` stands for the null operand.
  Outcome<Value> apply_filters(const Expression& chain, const Value& head);
  Outcome<Value> evaluate_test(const Expression& test);
  Outcome<Arguments> evaluate_arguments(const std::vector<Argument>& arguments);
  Done spread(const Argument& argument, const Value& value, Arguments& into);
  Outcome<Value> call_value(const Value& callee, Arguments arguments);
  Outcome<Value> call_macro(const Callable& callable, Arguments arguments);
  Done bind_macro(const Statement& macro, Arguments arguments);
  Done bind_rest(const Statement& macro, Arguments arguments);
  Outcome<Value> make_macro(const Statement& macro);
  Outcome<Flow> execute_call_block(const Statement& block);

  Run& run_;
  std::shared_ptr<Frame> scope_;
  Output* out_ = nullptr;
};

}  // namespace serveloop::text::jinja
