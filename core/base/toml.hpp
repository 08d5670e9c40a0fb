// TOML as a tree of plain values with their places. The only door to the TOML library (toml.cpp alone
// includes it).
//
// Tables keep the order of their file. Dates and times are refused: no key of ours holds one. Input is
// bounded (kMaxBytes, kMaxDepth), so that a hostile file costs an error and nothing else. Thread safety:
// plain values.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace serveloop::toml {

inline constexpr std::size_t kMaxBytes = std::size_t{4} << 20;  // of one document
inline constexpr std::size_t kMaxDepth = 64;                    // of tables and arrays in each other

class Value;
struct Entry;  // {key, value} of a table
using Array = std::vector<Value>;
using Table = std::vector<Entry>;  // keys are unique

enum class Type : std::uint8_t { boolean, integer, real, string, array, table };
const char* name_of(Type type);  // "boolean", "integer", "number", "string", "array", "table"

class Value {
 public:
  Value();  // an empty table
  Value(bool value);
  Value(double value);
  Value(std::string value);
  Value(std::string_view value);
  Value(const char* value);
  Value(Array value);
  Value(Table value);
  template <std::integral I>
  requires(!std::same_as<I, bool>) Value(I value) : Value(Integer{static_cast<std::int64_t>(value)}) {}
  // Defined where Entry is whole.
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  Type type() const { return static_cast<Type>(data_.index()); }
  bool is_table() const { return type() == Type::table; }
  bool is_array() const { return type() == Type::array; }
  bool is_string() const { return type() == Type::string; }

  // The value as a C++ type, or an error that names `what` (a key's full name), the place, what was expected
  // and found.
  Result<bool> as_bool(std::string_view what = {}) const;
  Result<std::int64_t> as_integer(std::string_view what = {}) const;
  Result<double> as_double(std::string_view what = {}) const;  // takes an integer, too
  Result<std::string> as_string(std::string_view what = {}) const;
  Result<std::vector<std::string>> as_strings(std::string_view what = {}) const;  // of an array

  // Items of an array, entries of a table; empty for other types.
  const Array& items() const;
  const Table& entries() const;
  // A table's value of that key, or null; `at` takes a path "a.b.c", whose numbers index arrays.
  const Value* find(std::string_view key) const;
  const Value* at(std::string_view path) const;
  // Inserts the key where it is missing. Requires a table.
  Value& operator[](std::string_view key);
  void push_back(Value value);  // requires an array

  // Sets "a.b.c", making tables on the way; fails where the path crosses something that is not a table.
  // Segments may be quoted ("a.'b.c'.d").
  Status set(std::string_view path, Value value);

  // "file:line:column", or the source's name alone where there is no line; empty for values made in code.
  std::string place() const;
  const std::string& source() const;
  // Does it come from an option of the command line? Its source is that option then: "--set engine.lag=1".
  bool of_command_line() const;
  // Opens an error: "file:3:1: engine.lag", "--port 70000: server.port"; "--set engine.lag=9" names its key itself.
  std::string named(std::string_view what) const;
  void set_place(std::shared_ptr<const std::string> source, std::uint32_t line, std::uint32_t column);
  // The same source, without a line, for it and all that is in it.
  void set_source(const std::shared_ptr<const std::string>& source);
  std::string describe() const;  // for errors: "string 'abc'", "integer 3", "a table"

  // Same types and values; places and the order of keys do not count.
  friend bool operator==(const Value& a, const Value& b);

 private:
  struct Integer {
    std::int64_t value;
  };
  explicit Value(Integer integer);
  std::variant<bool, std::int64_t, double, std::string, Array, Table> data_;
  std::uint32_t line_ = 0, column_ = 0;
  std::shared_ptr<const std::string> source_;
};

struct Entry {
  std::string key;
  Value value;
  friend bool operator==(const Entry& a, const Entry& b) { return a.key == b.key && a.value == b.value; }
};

// A document. Errors open with file:line:column.
Result<Value> parse(std::string_view text, std::string_view source_name);
Result<Value> parse_file(const std::string& path);
// The right side of an override such as `a.b=c`: TOML where it parses as such, else the text itself as a
// string (so that words, paths and sizes need no quotes). Text that opens a quote, an array or a table must
// be TOML.
Result<Value> parse_value(std::string_view text, std::string_view source_name);
// Applies one `a.b=c` to a document. `option` is what errors blame, and the source of the value: "--set a.b=c".
Status apply_override(Value& document, std::string_view assignment, std::string_view option);

// Writes a table as a document that parse() reads back to an equal value. Deterministic: order as stored,
// plain values before tables. Strings hold UTF-8.
std::string to_toml(const Value& document);
std::string to_inline(const Value& value);  // on one line, as behind a '='

}  // namespace serveloop::toml
