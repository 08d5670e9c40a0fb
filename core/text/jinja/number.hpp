// Python's numbers: exact comparison of integers with reals, floor division and modulo, and how they are read and
// written. Integers are of 64 bits; a result beyond them is an error. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/value.hpp"

namespace serveloop::text::jinja {

bool is_numeric(const Value& value);      // integer, real or boolean
double to_real(const Value& number);      // requires is_numeric
std::int64_t to_int(const Value& value);  // requires an integer or a boolean

// Negative, 0 or positive; 2 if one is not a number (NaN). Requires is_numeric of both.
int compare_numbers(const Value& a, const Value& b);

// a op b for op among + - * / // % **; requires is_numeric of both.
Outcome<Value> number_operation(char op, const Value& a, const Value& b);

std::string real_text(double real);  // repr(): the shortest that reads back
std::optional<std::int64_t> read_int(std::string_view text, int base);  // int(text, base)
std::optional<double> read_real(std::string_view text);                 // float(text)
Outcome<Value> int_of_real(double real);                                // int(real)

}  // namespace serveloop::text::jinja
