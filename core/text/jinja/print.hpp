// How Python prints a value: str() and repr(). Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

Outcome<std::string> str(Run& run, const Value& value);   // what {{ value }} prints
Outcome<std::string> repr(Run& run, const Value& value);  // what it prints as inside a list
std::string quoted(std::string_view text);                // repr of a string

// str(), but text stays marked safe if it was.
struct Soft {
  std::string bytes;
  bool markup = false;
};
Outcome<Soft> soft_str(Run& run, const Value& value);

std::string escaped(std::string_view text);  // for HTML: & < > ' "

}  // namespace serveloop::text::jinja
