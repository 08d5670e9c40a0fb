// Functions of the environment: filters, tests, methods and globals. All are of one form, and are called by one
// function, which binds arguments to parameters as Python does. Threads: constant tables.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Call {
  Run& run;
  const Value& self;                        // what is filtered or tested; a method's object
  std::vector<std::optional<Value>> given;  // one for each parameter
  Arguments rest;                           // all, where parameters are "*"
  std::string_view name;

  bool has(std::size_t i) const { return given[i].has_value(); }
  const Value& at(std::size_t i) const { return *given[i]; }
  bool flag(std::size_t i, bool standard) const { return has(i) ? at(i).truth() : standard; }
  Outcome<std::int64_t> integer(std::size_t i, std::int64_t standard) const;
  Outcome<std::string> text(std::size_t i, std::string_view standard) const;        // its str()
  Outcome<std::string_view> words(std::size_t i, std::string_view standard) const;  // only of a text
  tl::unexpected<Fault> refuse(std::string_view wanted, const Value& found) const;
};

struct Builtin {
  std::string_view name;
  // Names in their order, "!" after one that must be given; "*": takes what comes.
  std::string_view parameters;
  Outcome<Value> (*function)(Call&) = nullptr;
};

Outcome<Value> call_builtin(Run& run, const Builtin& builtin, const Value& self, Arguments arguments);

const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
const Builtin* find_method(const Value& object, std::string_view name);

// A method that would change its object, which the sandbox refuses.
bool is_unsafe(const Value& object, std::string_view name);

using Table = std::span<const Builtin>;
Table text_filters();      // filters_text.cpp
Table escape_filters();    // filters_escape.cpp
Table sequence_filters();  // filters_sequence.cpp
Table order_filters();     // filters_order.cpp
Table select_filters();    // filters_select.cpp
Table number_filters();    // filters_number.cpp
Table tests();             // tests.cpp
Table order_tests();       // tests_order.cpp
Table globals();           // globals.cpp
Table text_methods();      // methods_text.cpp
Table split_methods();     // methods_split.cpp
Table dict_methods();      // methods_other.cpp, as the rest
Table list_methods();
Table loop_methods();
Table cycler_methods();

}  // namespace serveloop::text::jinja
