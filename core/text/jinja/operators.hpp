// Python's + - * / // % ** on any values, and printf-style and str.format() formatting. Threads: one rendering's own.
#pragma once

#include "text/jinja/builtin.hpp"

namespace serveloop::text::jinja {

Outcome<Value> operate(Run& run, char op, const Value& a, const Value& b);  // number.hpp names the operators

// format % arguments
Outcome<Value> printf_format(Run& run, const Value& format, const Value& arguments);
// format.format(...)
Outcome<Value> brace_format(Run& run, std::string_view format, const Arguments& arguments);

}  // namespace serveloop::text::jinja
