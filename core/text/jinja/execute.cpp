// A statement that opens a scope restores the one before, whatever happens inside.
#include "text/jinja/access.hpp"
#include "text/jinja/interpreter.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

using Type = Statement::Type;

Outcome<std::string> Interpreter::render(const Template& parsed) {
  Output prompt(run_, false);
  out_ = &prompt;
  JINJA_TRY(scope, run_.frame(scope_));
  scope_ = scope;
  JINJA_CHECK(execute(parsed.body));
  return prompt.take();
}

Outcome<Interpreter::Flow> Interpreter::execute(const Body& body) {
  const Nesting nesting(run_);
  JINJA_CHECK(nesting.check());
  for (const Statement* statement : body) {
    JINJA_CHECK(run_.spend(1));
    auto flow = execute(*statement);
    if (!flow && flow.error()->line == 0) flow.error()->line = statement->line;
    if (!flow || *flow != Flow::onward) return flow;
  }
  return Flow::onward;
}

Outcome<Interpreter::Flow> Interpreter::execute(const Statement& statement) {
  switch (statement.type) {
    case Type::text: JINJA_CHECK(out_->append(statement.text)); return Flow::onward;
    case Type::print: {
      JINJA_TRY(value, evaluate(*statement.value));
      JINJA_CHECK(print(value));
      return Flow::onward;
    }
    case Type::branch: return execute_branch(statement);
    case Type::loop: return execute_loop(statement);
    case Type::set: {
      JINJA_TRY(value, evaluate(*statement.value));
      JINJA_CHECK(assign(statement.targets[0], value));
      return Flow::onward;
    }
    case Type::set_block: return execute_set_block(statement);
    case Type::macro: {
      JINJA_TRY(macro, make_macro(statement));
      JINJA_CHECK(run_.store(*scope_, statement.symbol, macro));
      return Flow::onward;
    }
    case Type::call_block: return execute_call_block(statement);
    case Type::filter_block: return execute_filter_block(statement);
    case Type::with: return execute_with(statement);
    case Type::scope: return execute_scope(statement.bodies[0]);
    case Type::break_loop: return Flow::breaks;
    case Type::continue_loop: return Flow::continues;
  }
  return Flow::onward;
}

Done Interpreter::print(const Value& value) {
  if (value.is(Kind::text)) return out_->append(value.as_bytes());
  JINJA_TRY(text, str(run_, value));
  return out_->append(text);
}

Outcome<Interpreter::Flow> Interpreter::execute_branch(const Statement& branch) {
  for (std::size_t i = 0; i < branch.bodies.size(); ++i) {
    if (i < branch.conditions.size()) {
      JINJA_TRY(condition, evaluate(*branch.conditions[i]));
      if (!condition.truth()) continue;
    }
    return execute(branch.bodies[i]);
  }
  return Flow::onward;
}

Outcome<Interpreter::Flow> Interpreter::execute_scope(const Body& body) {
  JINJA_TRY(inner, run_.frame(scope_));
  const std::shared_ptr<Frame> outer = std::exchange(scope_, inner);
  auto flow = execute(body);
  scope_ = outer;
  return flow;
}

Outcome<Interpreter::Captured> Interpreter::capture(const Body& body) {
  Output captured(run_, true);
  Output* const outer = std::exchange(out_, &captured);
  auto flow = execute_scope(body);
  out_ = outer;
  if (!flow) return tl::unexpected(std::move(flow.error()));
  JINJA_TRY(text, run_.text(captured.take()));
  return Captured{std::move(text), *flow};
}

Outcome<Interpreter::Flow> Interpreter::execute_filter_block(const Statement& block) {
  JINJA_TRY(captured, capture(block.bodies[0]));
  if (captured.flow != Flow::onward) return captured.flow;
  JINJA_TRY(value, apply_filters(*block.value, captured.text));
  JINJA_CHECK(print(value));
  return Flow::onward;
}

Outcome<Interpreter::Flow> Interpreter::execute_set_block(const Statement& block) {
  JINJA_TRY(captured, capture(block.bodies[0]));
  if (captured.flow != Flow::onward) return captured.flow;
  Value value = captured.text;
  if (block.value != nullptr) {
    JINJA_TRY(filtered, apply_filters(*block.value, value));
    value = std::move(filtered);
  }
  JINJA_CHECK(assign(block.targets[0], value));
  return Flow::onward;
}

Outcome<Interpreter::Flow> Interpreter::execute_with(const Statement& with) {
  JINJA_TRY(inner, run_.frame(scope_));
  std::vector<Value> values;
  for (const Expression* expression : with.conditions) {
    JINJA_TRY(value, evaluate(*expression));
    values.push_back(std::move(value));
  }
  const std::shared_ptr<Frame> outer = std::exchange(scope_, inner);
  Done assigned;
  for (std::size_t i = 0; i < values.size() && assigned; ++i) assigned = assign(with.targets[i], values[i]);
  Outcome<Flow> flow = Flow::onward;
  if (assigned) flow = execute(with.bodies[0]);
  scope_ = outer;
  if (!assigned) return tl::unexpected(std::move(assigned.error()));
  return flow;
}

Done Interpreter::assign(const Target& target, const Value& value) {
  switch (target.type) {
    case Target::Type::name: return run_.store(*scope_, target.symbol, value);
    case Target::Type::tuple: return assign_tuple(target, value);
    case Target::Type::attribute: break;
  }
  const Value* space = scope_->find(target.symbol);
  if (space == nullptr || !space->is(Kind::name_space))
    return fault("cannot set attribute '" + shortened(target.attribute) + "' of what is no namespace");
  JINJA_CHECK(run_.budget.spend_bytes(target.attribute.size()));
  return run_.store(space->as_namespace(), Value::text(target.attribute), value);
}

Done Interpreter::assign_tuple(const Target& target, const Value& value) {
  JINJA_TRY(list, iterate(run_, value));
  if (list->items.size() != target.parts.size())
    return fault("expected " + std::to_string(target.parts.size()) + " values to unpack, found " +
                 std::to_string(list->items.size()));
  for (std::size_t i = 0; i < target.parts.size(); ++i) JINJA_CHECK(assign(target.parts[i], list->items[i]));
  return {};
}

}  // namespace serveloop::text::jinja
