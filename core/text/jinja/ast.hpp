// A parsed template. Nodes are owned by the template and refer to each other by plain pointers, so that no depth of
// nesting makes destruction recursive. Threads: read-only once parsed.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/jinja/value.hpp"

namespace serveloop::text::jinja {

struct Expression;

struct Argument {
  enum class Type : std::uint8_t { positional, named, spread_list, spread_dict };
  Type type = Type::positional;
  std::string name;  // named
  const Expression* value = nullptr;
};

struct Expression {
  enum class Type : std::uint8_t {
    literal,      // value
    name,         // symbol
    list,         // parts
    tuple,        // parts
    dict,         // parts: key, value, key, value, ...
    attribute,    // parts[0] . text
    item,         // parts[0] [ parts[1] ]
    slice,        // parts[0] [ parts[1] : parts[2] : parts[3] ], the last three null where absent
    call,         // parts[0] ( arguments )
    filter,       // parts[0] | text ( arguments ); parts[0] is null at the head of a filter block
    test,         // parts[0] is text ( arguments )
    negate,       // - parts[0]
    plus,         // + parts[0]
    invert,       // not parts[0]
    both,         // parts[0] and parts[1]
    either,       // parts[0] or parts[1]
    arithmetic,   // parts[0] op parts[1]; number.hpp names the operators
    concat,       // parts[0] ~ parts[1] ~ ...
    compare,      // parts[0] operators[0] parts[1] operators[1] ...
    conditional,  // parts[1] if parts[0] else parts[2], which may be null
  };
  Type type = Type::literal;
  char op = 0;
  std::uint32_t symbol = 0;
  std::uint32_t line = 0;
  std::string text;
  Value value;
  std::vector<const Expression*> parts;
  std::vector<Argument> arguments;
  std::vector<std::string> operators;
};

// What `for` and `set` assign to.
struct Target {
  enum class Type : std::uint8_t { name, attribute, tuple };
  Type type = Type::name;
  std::uint32_t symbol = 0;  // name; attribute: of the namespace
  std::string attribute;
  std::vector<Target> parts;  // tuple
};

struct Statement;
using Body = std::vector<const Statement*>;

struct Parameter {
  std::string name;
  std::uint32_t symbol = 0;
  const Expression* standard = nullptr;  // its default
};

struct Statement {
  enum class Type : std::uint8_t {
    text,          // text
    print,         // value
    branch,        // conditions[i] -> bodies[i]; one body more than conditions: else
    loop,          // for targets[0] in value if condition: bodies[0] else bodies[1]
    set,           // targets[0] = value
    set_block,     // targets[0] = bodies[0] through value (a filter chain, may be null)
    macro,         // text, parameters, bodies[0]
    call_block,    // value is a call expression; parameters, bodies[0] are its caller's
    filter_block,  // value is a filter chain over bodies[0]
    with,          // targets = conditions, then bodies[0]
    scope,         // bodies[0] in a scope of its own (generation)
    break_loop,
    continue_loop,
  };
  Type type = Type::text;
  std::uint32_t line = 0;
  std::uint32_t symbol = 0;                                             // macro: its name's
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // macro
  std::string text;
  const Expression* value = nullptr;
  const Expression* condition = nullptr;
  std::vector<const Expression*> conditions;
  std::vector<Target> targets;
  std::vector<Parameter> parameters;
  std::vector<Body> bodies;
};

// Names that the interpreter itself gives a value; a template's symbols start with these.
enum : std::uint32_t { kLoopSymbol, kVarargsSymbol, kKwargsSymbol, kCallerSymbol };

struct Template {
  Body body;
  std::unordered_map<std::string, std::uint32_t> symbols = {{"loop", kLoopSymbol},
                                                            {"varargs", kVarargsSymbol},
                                                            {"kwargs", kKwargsSymbol},
                                                            {"caller", kCallerSymbol}};
  std::deque<Expression> expressions;
  std::deque<Statement> statements;

  std::uint32_t symbol(const std::string& name) {
    return symbols.emplace(name, static_cast<std::uint32_t>(symbols.size())).first->second;
  }
};

}  // namespace serveloop::text::jinja
