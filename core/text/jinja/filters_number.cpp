// Filters on numbers: int, float, abs, round.
#include <array>
#include <cmath>
#include <cstdio>

#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"

namespace serveloop::text::jinja {

namespace {

Outcome<Value> to_integer(Call& call) {
  const Value standard = call.has(0) ? call.at(0) : Value(std::int64_t{0});
  JINJA_TRY(base, call.integer(1, 10));
  const Value& value = call.self;
  switch (value.kind()) {
    case Kind::undefined: return undefined_fault(value);
    case Kind::integer: return value;
    case Kind::boolean: return Value(to_int(value));
    case Kind::real:
      return std::isfinite(value.as_real()) ? int_of_real(value.as_real()) : Outcome<Value>(standard);
    case Kind::text: {
      JINJA_CHECK(call.run.budget.spend_bytes(value.as_bytes().size()));
      if (base != 0 && (base < 2 || base > 36)) return standard;
      if (const auto whole = read_int(value.as_bytes(), static_cast<int>(base))) return Value(*whole);
      const auto real = read_real(value.as_bytes());
      return real && std::isfinite(*real) ? int_of_real(*real) : Outcome<Value>(standard);
    }
    default: return standard;
  }
}

Outcome<Value> to_float(Call& call) {
  const Value& value = call.self;
  if (value.is(Kind::undefined)) return undefined_fault(value);
  if (is_numeric(value)) return Value(to_real(value));
  if (value.is(Kind::text)) {
    JINJA_CHECK(call.run.budget.spend_bytes(value.as_bytes().size()));
    if (const auto real = read_real(value.as_bytes())) return Value(*real);
  }
  return call.has(0) ? call.at(0) : Value(0.0);
}

Outcome<Value> absolute(Call& call) {
  if (!is_numeric(call.self)) return call.refuse("a number", call.self);
  if (call.self.is(Kind::real)) return Value(std::fabs(call.self.as_real()));
  if (to_int(call.self) >= 0) return Value(to_int(call.self));
  return number_operation('-', Value(std::int64_t{0}), call.self);
}

// Half to even, on the exact decimal value of the number: what printf() does.
double rounded(double value, int digits) {
  if (digits < 0) {
    const double scale = std::pow(10.0, -digits);
    return std::nearbyint(value / scale) * scale;
  }
  char text[512];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return std::strtod(text, nullptr);
}

Outcome<Value> round(Call& call) {
  if (!is_numeric(call.self)) return call.refuse("a number", call.self);
  JINJA_TRY(precision, call.integer(0, 0));
  JINJA_TRY(method, call.text(1, "common"));
  if (method != "common" && method != "ceil" && method != "floor")
    return fault("round() expects the method 'common', 'ceil' or 'floor'");
  if (precision > 100 || precision < -100) return fault("round() expects a precision from -100 to 100");
  const double value = to_real(call.self);
  if (method == "common") {
    if (!call.self.is(Kind::real) && precision >= 0) return Value(to_int(call.self));
    const double result = std::isfinite(value) ? rounded(value, static_cast<int>(precision)) : value;
    return call.self.is(Kind::real) ? Outcome<Value>(Value(result)) : int_of_real(result);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return Value((method == "ceil" ? std::ceil(value * scale) : std::floor(value * scale)) / scale);
}

constexpr auto kFilters = std::to_array<Builtin>({
    {"int", "default base", to_integer},
    {"float", "default", to_float},
    {"abs", "", absolute},
    {"round", "precision method", round},
});

}  // namespace

Table number_filters() { return kFilters; }

}  // namespace serveloop::text::jinja
