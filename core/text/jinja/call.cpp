// Macros see the scope that they were defined in, as it is when they are called.
#include <algorithm>

#include "text/jinja/access.hpp"
#include "text/jinja/interpreter.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

Done Interpreter::spread(const Argument& argument, const Value& value, Arguments& into) {
  if (argument.type == Argument::Type::spread_list) {
    JINJA_TRY(list, iterate(run_, value));
    JINJA_CHECK(run_.reserve_items(into.positional.size() + list->items.size()));
    into.positional.insert(into.positional.end(), list->items.begin(), list->items.end());
    return {};
  }
  if (!value.is(Kind::dict)) return fault("** takes a mapping, not '" + std::string(value.type_name()) + "'");
  for (const auto& [key, held] : value.as_dict().entries) {
    if (!key.is(Kind::text)) return fault("keywords are strings");
    JINJA_CHECK(run_.reserve_text(key.as_bytes().size()));
    into.named.emplace_back(key.as_bytes(), held);
  }
  return {};
}

Outcome<Arguments> Interpreter::evaluate_arguments(const std::vector<Argument>& arguments) {
  Arguments evaluated;
  for (const Argument& argument : arguments) {
    JINJA_TRY(value, evaluate(*argument.value));
    JINJA_CHECK(run_.budget.spend_bytes(argument.name.size()));
    switch (argument.type) {
      case Argument::Type::positional: evaluated.positional.push_back(std::move(value)); break;
      case Argument::Type::named: evaluated.named.emplace_back(argument.name, std::move(value)); break;
      default: JINJA_CHECK(spread(argument, value, evaluated));
    }
  }
  return evaluated;
}

Outcome<Value> Interpreter::evaluate_call(const Expression& call) {
  const Expression& callee = *call.parts[0];
  if (callee.type == Expression::Type::attribute) {  // a method, without making a value of it
    JINJA_TRY(object, evaluate(*callee.parts[0]));
    JINJA_CHECK(run_.budget.spend_bytes(callee.text.size()));
    if (const Builtin* method = find_method(object, callee.text)) {
      JINJA_TRY(arguments, evaluate_arguments(call.arguments));
      return call_builtin(run_, *method, object, std::move(arguments));
    }
    JINJA_TRY(found, get_attribute(run_, object, callee.text));
    JINJA_TRY(arguments, evaluate_arguments(call.arguments));
    return call_value(found, std::move(arguments));
  }
  JINJA_TRY(arguments, evaluate_arguments(call.arguments));
  return call_with(call, std::move(arguments));
}

Outcome<Value> Interpreter::call_with(const Expression& call, Arguments arguments) {
  JINJA_TRY(callee, evaluate(*call.parts[0]));
  return call_value(callee, std::move(arguments));
}

Outcome<Value> Interpreter::call_value(const Value& callee, Arguments arguments) {
  if (callee.is(Kind::undefined)) return undefined_fault(callee);
  if (!callee.is(Kind::callable) || callee.as_callable().cycler)
    return fault("'" + std::string(callee.type_name()) + "' object is not callable");
  const Callable& callable = callee.as_callable();
  if (callable.macro != nullptr) return call_macro(callable, std::move(arguments));
  const bool method = !callable.self.is(Kind::undefined);
  return call_builtin(run_, *callable.builtin, method ? callable.self : callee, std::move(arguments));
}

Outcome<Value> Interpreter::apply_filters(const Expression& chain, const Value& head) {
  Value input = head;
  if (chain.parts[0] != nullptr) {
    const bool filter = chain.parts[0]->type == Expression::Type::filter;
    JINJA_CHECK(run_.spend(1));
    const Nesting nesting(run_);
    JINJA_CHECK(nesting.check());
    JINJA_TRY(operand, filter ? apply_filters(*chain.parts[0], head) : evaluate(*chain.parts[0]));
    input = std::move(operand);
  }
  const Builtin* filter = find_filter(chain.text);
  if (filter == nullptr) return fault("no filter is named '" + shortened(chain.text) + "'");
  JINJA_TRY(arguments, evaluate_arguments(chain.arguments));
  return call_builtin(run_, *filter, input, std::move(arguments));
}

Outcome<Value> Interpreter::evaluate_test(const Expression& test) {
  const Builtin* found = find_test(test.text);
  if (found == nullptr) return fault("no test is named '" + shortened(test.text) + "'");
  JINJA_TRY(operand, evaluate(*test.parts[0]));
  JINJA_TRY(arguments, evaluate_arguments(test.arguments));
  return call_builtin(run_, *found, operand, std::move(arguments));
}

Outcome<Value> Interpreter::make_macro(const Statement& macro) {
  Callable made;
  made.macro = &macro;
  made.scope = scope_;
  run_.keep(scope_);
  return run_.callable(std::move(made));
}

Outcome<Value> Interpreter::call_macro(const Callable& callable, Arguments arguments) {
  const Nesting nesting(run_);
  JINJA_CHECK(nesting.check());
  JINJA_CHECK(run_.spend(1));
  const Statement& macro = *callable.macro;
  JINJA_TRY(inner, run_.frame(callable.scope));
  const std::shared_ptr<Frame> outer = std::exchange(scope_, inner);
  Output captured(run_, true);
  Output* const written = std::exchange(out_, &captured);
  Done done = bind_macro(macro, std::move(arguments));
  if (done) {
    auto flow = execute(macro.bodies[0]);
    if (!flow) done = tl::unexpected(std::move(flow.error()));
  }
  out_ = written;
  scope_ = outer;
  if (!done) return tl::unexpected(std::move(done.error()));
  return run_.text(captured.take());
}

Done Interpreter::bind_macro(const Statement& macro, Arguments arguments) {
  const std::size_t positional = std::min(arguments.positional.size(), macro.parameters.size());
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    Value value;
    if (i < positional) {
      value = arguments.positional[i];
    } else {
      auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                [&](const auto& given) { return given.first == parameter.name; });
      JINJA_CHECK(run_.spend(arguments.named.size()));
      if (named != arguments.named.end()) {
        value = std::move(named->second);
        arguments.named.erase(named);
      } else if (parameter.standard != nullptr) {
        JINJA_TRY(standard, evaluate(*parameter.standard));
        value = std::move(standard);
      } else {
        value = run_.undefined("parameter '" + shortened(parameter.name) + "' was not provided");
      }
    }
    JINJA_CHECK(run_.store(*scope_, parameter.symbol, std::move(value)));
  }
  arguments.positional.erase(arguments.positional.begin(),
                             arguments.positional.begin() + static_cast<std::ptrdiff_t>(positional));
  return bind_rest(macro, std::move(arguments));
}

// What no parameter took: `caller`, `kwargs` and `varargs`, for a body that uses them.
Done Interpreter::bind_rest(const Statement& macro, Arguments arguments) {
  if (macro.uses_caller) {
    auto caller = std::find_if(arguments.named.begin(), arguments.named.end(),
                               [](const auto& given) { return given.first == "caller"; });
    Value value = run_.undefined("no caller is defined");
    if (caller != arguments.named.end()) {
      value = std::move(caller->second);
      arguments.named.erase(caller);
    }
    JINJA_CHECK(run_.store(*scope_, kCallerSymbol, std::move(value)));
  }
  if (macro.uses_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : arguments.named) {
      JINJA_TRY(key, run_.text(std::move(name)));
      entries.emplace_back(std::move(key), std::move(value));
    }
    JINJA_TRY(kwargs, run_.dict(std::move(entries)));
    JINJA_CHECK(run_.store(*scope_, kKwargsSymbol, std::move(kwargs)));
  } else if (!arguments.named.empty()) {
    return fault("macro '" + shortened(macro.text) + "' takes no keyword argument '" +
                 shortened(arguments.named[0].first) + "'");
  }
  if (macro.uses_varargs) {
    JINJA_TRY(varargs, run_.list(std::move(arguments.positional), ListKind::tuple));
    return run_.store(*scope_, kVarargsSymbol, std::move(varargs));
  }
  if (!arguments.positional.empty())
    return fault("macro '" + shortened(macro.text) + "' takes not more than " +
                 std::to_string(macro.parameters.size()) + " arguments");
  return {};
}

Outcome<Interpreter::Flow> Interpreter::execute_call_block(const Statement& block) {
  JINJA_TRY(caller, make_macro(block));
  JINJA_TRY(arguments, evaluate_arguments(block.value->arguments));
  arguments.named.emplace_back("caller", std::move(caller));
  JINJA_TRY(value, call_with(*block.value, std::move(arguments)));
  JINJA_CHECK(print(value));
  return Flow::onward;
}

}  // namespace serveloop::text::jinja
