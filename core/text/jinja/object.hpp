// What only a template can make: namespaces, loops, and what can be called. Threads: one rendering's own.
#pragma once

#include <unordered_map>

#include "text/jinja/value.hpp"

namespace serveloop::text::jinja {

struct Builtin;    // builtin.hpp
struct Statement;  // ast.hpp

// One scope of variables: a name's number -> its value. Scopes of macros and loops see what encloses them.
struct Frame {
  std::shared_ptr<Frame> parent;
  std::unordered_map<std::uint32_t, Value> variables;
  Charge charge;

  const Value* find(std::uint32_t name) const {
    for (const Frame* frame = this; frame != nullptr; frame = frame->parent.get())
      if (const auto found = frame->variables.find(name); found != frame->variables.end())
        return &found->second;
    return nullptr;
  }
};

// The one value that changes: `namespace(a=1)`, `{% set ns.a = 2 %}`. A run keeps all its namespaces, and empties
// them at its end, since they can hold themselves.
struct Namespace {
  Dict attributes;
  Charge charge;
};

struct Loop {
  std::shared_ptr<const List> items;
  std::size_t at = 0;       // the element that the body runs for
  std::vector<Value> seen;  // what loop.changed() was last given
  bool asked = false;       // whether it was given anything
  Charge charge;
};

struct Callable {
  const Builtin* builtin = nullptr;  // a function of the environment, or with `self` a method
  Value self;
  const Statement* macro = nullptr;  // with the scope it was defined in
  std::shared_ptr<Frame> scope;
  std::vector<Value> state;  // cycler: its items; joiner: its separator
  std::size_t position = 0;  // cycler: of the current item; joiner: how often it was called
  bool cycler = false;
  Charge charge;
};

}  // namespace serveloop::text::jinja
