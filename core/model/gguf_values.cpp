// Typed views of metadata. parse() has checked that every element lies within its bytes.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "model/gguf.hpp"

namespace serveloop::model::gguf {
namespace {

template <class T>
T read(const Value& value, std::uint64_t index) {
  T number;
  std::memcpy(&number, value.bytes.data() + index * sizeof(T), sizeof(T));
  return number;
}

struct Integer {
  bool negative;
  std::uint64_t bits;  // two's complement
};

// Integers of any width. No value: not an integer (a boolean counts where `booleans`).
std::optional<Integer> integer(const Value& value, std::uint64_t index, bool booleans) {
  const auto widened = [](std::int64_t number) {
    return Integer{number < 0, static_cast<std::uint64_t>(number)};
  };
  switch (value.type) {
    case ValueType::u8: return Integer{false, read<std::uint8_t>(value, index)};
    case ValueType::u16: return Integer{false, read<std::uint16_t>(value, index)};
    case ValueType::u32: return Integer{false, read<std::uint32_t>(value, index)};
    case ValueType::u64: return Integer{false, read<std::uint64_t>(value, index)};
    case ValueType::i8: return widened(read<std::int8_t>(value, index));
    case ValueType::i16: return widened(read<std::int16_t>(value, index));
    case ValueType::i32: return widened(read<std::int32_t>(value, index));
    case ValueType::i64: return widened(read<std::int64_t>(value, index));
    case ValueType::boolean:
      if (booleans) return Integer{false, read<std::uint8_t>(value, index)};
      return std::nullopt;
    default: return std::nullopt;
  }
}

std::string shown(const Integer& number) {
  return number.negative ? std::to_string(static_cast<std::int64_t>(number.bits))
                         : std::to_string(number.bits);
}

}  // namespace

Result<const Value*> File::typed(std::string_view key, std::string_view expected, bool array) const {
  const Value* value = find(key);
  if (value == nullptr)
    return fail(fmt::format("{}: key '{}'", source_, key), std::string(expected), "no such key");
  if (value->array != array) return mistyped(key, *value, expected);
  return value;
}

Result<const Value*> File::array(std::string_view key, std::string_view expected, Length length) const {
  const auto value = typed(key, expected, true);
  if (!value || ((*value)->count >= length.least && (*value)->count <= length.most)) return value;
  return fail(fmt::format("{}: key '{}'", source_, key),
              length.least == length.most
                  ? fmt::format("{} of {} elements", expected, length.most)
                  : fmt::format("{} of {} to {} elements", expected, length.least, length.most),
              std::to_string((*value)->count));
}

tl::unexpected<Error> File::mistyped(std::string_view key, const Value& value,
                                     std::string_view expected) const {
  return fail(fmt::format("{}: key '{}'", source_, key), std::string(expected),
              fmt::format("{}{}", value.array ? "an array of " : "", name_of(value.type)));
}

Result<std::uint64_t> File::whole(std::string_view key, std::uint64_t least, std::uint64_t most) const {
  const std::string expected = fmt::format("an integer from {} to {}", least, most);
  const auto value = typed(key, expected, false);
  if (!value) return tl::unexpected(value.error());
  const auto number = integer(**value, 0, false);
  if (!number) return mistyped(key, **value, expected);
  if (number->negative || number->bits < least || number->bits > most)
    return fail(fmt::format("{}: key '{}'", source_, key), expected, shown(*number));
  return number->bits;
}

Result<double> File::number(std::string_view key) const {
  constexpr std::string_view kExpected = "a finite f32 or f64";
  const auto value = typed(key, kExpected, false);
  if (!value) return tl::unexpected(value.error());
  const ValueType type = (*value)->type;
  if (type != ValueType::f32 && type != ValueType::f64) return mistyped(key, **value, kExpected);
  const double number = type == ValueType::f32 ? double{read<float>(**value, 0)} : read<double>(**value, 0);
  if (!std::isfinite(number))
    return fail(fmt::format("{}: key '{}'", source_, key), std::string(kExpected), fmt::format("{}", number));
  return number;
}

Result<bool> File::flag(std::string_view key) const {
  const auto value = typed(key, "a bool", false);
  if (!value) return tl::unexpected(value.error());
  if ((*value)->type != ValueType::boolean) return mistyped(key, **value, "a bool");
  return read<std::uint8_t>(**value, 0) != 0;
}

Result<std::string_view> File::text(std::string_view key) const {
  const auto value = typed(key, "a string", false);
  if (!value) return tl::unexpected(value.error());
  if ((*value)->type != ValueType::string) return mistyped(key, **value, "a string");
  const auto bytes = (*value)->bytes.subspan(8);
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::vector<std::int64_t>> File::wholes(std::string_view key, Length length) const {
  constexpr std::string_view kExpected = "an array of integers";
  const auto value = array(key, kExpected, length);
  if (!value) return tl::unexpected(value.error());
  std::vector<std::int64_t> numbers;
  if ((*value)->count > 0 && integer(**value, 0, true)) numbers.reserve((*value)->count);
  for (std::uint64_t i = 0; i < (*value)->count; ++i) {
    const auto number = integer(**value, i, true);
    if (!number) return mistyped(key, **value, kExpected);
    if (!number->negative && number->bits > INT64_MAX)
      return fail(fmt::format("{}: key '{}'", source_, key), "integers below 2^63", shown(*number));
    numbers.push_back(static_cast<std::int64_t>(number->bits));
  }
  return numbers;
}

Result<std::vector<float>> File::numbers(std::string_view key, Length length) const {
  constexpr std::string_view kExpected = "an array of f32";
  const auto value = array(key, kExpected, length);
  if (!value) return tl::unexpected(value.error());
  if ((*value)->type != ValueType::f32) return mistyped(key, **value, kExpected);
  std::vector<float> numbers((*value)->count);
  for (std::uint64_t i = 0; i < numbers.size(); ++i) numbers[i] = read<float>(**value, i);
  return numbers;
}

Result<std::vector<std::string_view>> File::texts(std::string_view key, Length length) const {
  constexpr std::string_view kExpected = "an array of strings";
  const auto value = array(key, kExpected, length);
  if (!value) return tl::unexpected(value.error());
  if ((*value)->type != ValueType::string) return mistyped(key, **value, kExpected);
  std::vector<std::string_view> texts;
  texts.reserve((*value)->count);
  const auto* at = reinterpret_cast<const char*>((*value)->bytes.data());
  for (std::uint64_t i = 0; i < (*value)->count; ++i) {
    std::uint64_t length = 0;
    std::memcpy(&length, at, sizeof length);
    texts.emplace_back(at + sizeof length, length);
    at += sizeof length + length;
  }
  return texts;
}

}  // namespace serveloop::model::gguf
