// Operators are named by one character: '/' true division, 'f' floor division, 'p' power.
#include "text/jinja/number.hpp"

#include <charconv>
#include <cmath>

#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

constexpr double kTwo63 = 9223372036854775808.0;

tl::unexpected<Fault> overflow() { return fault("an integer beyond 64 bits"); }

int compare_int_real(std::int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= kTwo63) return -1;
  if (b < -kTwo63) return 1;
  const auto whole = static_cast<std::int64_t>(b);  // towards zero
  if (a != whole) return a < whole ? -1 : 1;
  const double rest = b - static_cast<double>(whole);
  return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Outcome<Value> power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return fault("0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value(result);
}

Outcome<Value> int_operation(char op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case '+':
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value(result);
    case '-':
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value(result);
    case '*':
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value(result);
    case 'p': return power(a, b);
    default: break;
  }
  if (b == 0) return fault("division by zero");
  if (op == '/') return Value(static_cast<double>(a) / static_cast<double>(b));
  const std::int64_t rest = floor_mod(a, b);
  if (op == '%') return Value(rest);
  if (b == -1) {
    if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) return overflow();
    return Value(result);
  }
  return Value((a / b) - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0));
}

Outcome<Value> real_operation(char op, double a, double b) {
  switch (op) {
    case '+': return Value(a + b);
    case '-': return Value(a - b);
    case '*': return Value(a * b);
    case 'p': {
      if (a == 0 && b < 0) return fault("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
        return fault("a complex number");
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
        return fault("numerical result out of range");
      return Value(result);
    }
    default: break;
  }
  if (b == 0) return fault("float division by zero");
  if (op == '/') return Value(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  } else if (rest == 0) {
    rest = std::copysign(0.0, b);
  }
  if (op == '%') return Value(rest);
  if (quotient == 0) return Value(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value(quotient - floor > 0.5 ? floor + 1 : floor);
}

// Python allows one underscore between digits. False where one stands elsewhere.
bool drop_underscores(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto alnum = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at]));
    };
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool is_numeric(const Value& value) {
  return value.is(Kind::integer) || value.is(Kind::real) || value.is(Kind::boolean);
}

std::int64_t to_int(const Value& value) { return value.is(Kind::boolean) ? value.as_bool() : value.as_int(); }

double to_real(const Value& number) {
  return number.is(Kind::real) ? number.as_real() : static_cast<double>(to_int(number));
}

int compare_numbers(const Value& a, const Value& b) {
  if (a.is(Kind::real) && b.is(Kind::real)) {
    const double x = a.as_real(), y = b.as_real();
    if (std::isnan(x) || std::isnan(y)) return 2;
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (b.is(Kind::real)) return compare_int_real(to_int(a), b.as_real());
  if (a.is(Kind::real)) {
    const int turned = compare_int_real(to_int(b), a.as_real());
    return turned == 2 ? 2 : -turned;
  }
  const std::int64_t x = to_int(a), y = to_int(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

Outcome<Value> number_operation(char op, const Value& a, const Value& b) {
  if (a.is(Kind::real) || b.is(Kind::real)) return real_operation(op, to_real(a), to_real(b));
  return int_operation(op, to_int(a), to_int(b));
}

std::string real_text(double real) {
  if (std::isnan(real)) return "nan";
  if (std::isinf(real)) return real < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), real, std::chars_format::scientific).ptr;
  const std::string_view written(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = written.find('e');
  std::string digits;
  for (const char c : written.substr(0, e))
    if (c >= '0' && c <= '9') digits += c;
  int exponent = 0;
  const std::string_view power_of_ten = written.substr(e + 1);
  std::from_chars(power_of_ten.data() + (power_of_ten[0] == '+' ? 1 : 0), end, exponent);

  std::string out = written[0] == '-' ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += '.' + digits.substr(1);
    const std::string size = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") + (size.size() < 2 ? "0" : "") + size;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

std::optional<std::int64_t> read_int(std::string_view text, int base) {
  text = unicode::strip(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      text.remove_prefix(2);
      if (text[0] == '_') text.remove_prefix(1);
      base = marked;
    }
  }
  if (base == 0) base = 10;
  std::string digits;
  if (!drop_underscores(text, digits) || digits.empty() || digits[0] == '-') return std::nullopt;
  if (negative) digits.insert(digits.begin(), '-');
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<double> read_real(std::string_view text) {
  text = unicode::strip(text);
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text[0] == '-') return std::nullopt;
  }
  std::string digits;
  if (!drop_underscores(text, digits) || digits.empty() || digits.find('(') != std::string::npos)
    return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::strtod(digits.c_str(), nullptr);
  if (error != std::errc()) return std::nullopt;
  return number;
}

Outcome<Value> int_of_real(double real) {
  if (!(real >= -kTwo63 && real < kTwo63)) return overflow();
  return Value(static_cast<std::int64_t>(real));
}

}  // namespace serveloop::text::jinja
