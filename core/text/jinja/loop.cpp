// As in Jinja, the else branch runs where no pass came to its end: there was none, or `break` or `continue` cut all.
// Each pass of a loop has a fresh scope, so that what a body sets is gone in the next.
#include "text/jinja/access.hpp"
#include "text/jinja/interpreter.hpp"

namespace serveloop::text::jinja {

// The elements that the body runs for: those for which the loop's condition holds.
Outcome<std::shared_ptr<const List>> Interpreter::loop_items(const Statement& loop) {
  JINJA_TRY(value, evaluate(*loop.value));
  JINJA_TRY(all, iterate(run_, value));
  if (loop.condition == nullptr) return all;
  std::vector<Value> kept;
  const std::shared_ptr<Frame> outer = scope_;
  for (const Value& item : all->items) {
    JINJA_CHECK(run_.reserve_items(kept.size() / 64));
    JINJA_TRY(inner, run_.frame(outer));
    scope_ = inner;
    auto assigned = assign(loop.targets[0], item);
    Outcome<Value> condition;
    if (assigned) condition = evaluate(*loop.condition);
    scope_ = outer;
    if (!assigned) return tl::unexpected(std::move(assigned.error()));
    if (!condition) return tl::unexpected(std::move(condition.error()));
    if (condition->truth()) kept.push_back(item);
  }
  JINJA_TRY(list, run_.list(std::move(kept)));
  return std::shared_ptr<const List>(list.shared_list());
}

Outcome<Interpreter::Flow> Interpreter::execute_loop(const Statement& statement) {
  JINJA_TRY(items, loop_items(statement));
  if (items->items.empty()) return execute_scope(statement.bodies[1]);
  JINJA_CHECK(run_.budget.room_for(sizeof(Loop)));
  const auto loop = std::make_shared<Loop>();
  loop->items = items;
  loop->charge = Charge(run_.budget, sizeof(Loop) + 32);
  const std::shared_ptr<Frame> outer = scope_;
  Outcome<Flow> flow = Flow::onward;
  bool completed = false;  // some pass, without `break` or `continue`
  for (; loop->at < items->items.size(); ++loop->at) {
    JINJA_CHECK(run_.spend(1));
    JINJA_TRY(inner, run_.frame(outer));
    JINJA_CHECK(run_.store(*inner, kLoopSymbol, Value(loop)));
    scope_ = inner;
    auto assigned = assign(statement.targets[0], items->items[loop->at]);
    if (assigned) flow = execute(statement.bodies[0]);
    scope_ = outer;
    if (!assigned) return tl::unexpected(std::move(assigned.error()));
    if (!flow) return flow;
    if (*flow == Flow::breaks) break;
    completed = completed || *flow == Flow::onward;
  }
  if (!completed) return execute_scope(statement.bodies[1]);
  return Flow::onward;
}

}  // namespace serveloop::text::jinja
