// Values of the template language, which are Python's: what a template computes with, and what a caller hands in
// (messages, tools). Lists and dicts never change once made; a namespace does.
// Threads: list, dict and text values may be shared between threads; the others belong to one rendering.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/budget.hpp"

namespace serveloop::text::jinja {

class Value;
struct Text;
struct List;
struct Dict;
struct Namespace;  // object.hpp, as all that only a template can make
struct Loop;
struct Callable;

struct None {};
struct Undefined {
  std::shared_ptr<const Text> why;  // what an error says when it is used; may be null
};

enum class Kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  text,
  list,
  dict,
  name_space,
  loop,
  callable
};

class Value {
 public:
  Value() = default;  // undefined
  Value(None none) : data_(none) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(const char*) = delete;  // would be a boolean
  explicit Value(bool boolean) : data_(boolean) {}
  explicit Value(std::int64_t integer) : data_(integer) {}
  explicit Value(double real) : data_(real) {}
  Value(std::shared_ptr<const Text> text) : data_(std::move(text)) {}
  Value(std::shared_ptr<const List> list) : data_(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  Value(std::shared_ptr<Namespace> space) : data_(std::move(space)) {}
  Value(std::shared_ptr<Loop> loop) : data_(std::move(loop)) {}
  Value(std::shared_ptr<Callable> callable) : data_(std::move(callable)) {}

  // What a caller hands in; not counted against any budget. Later entries of an equal key replace earlier ones.
  static Value text(std::string utf8);
  static Value list(std::vector<Value> items);
  static Value dict(std::vector<std::pair<std::string, Value>> entries);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }

  // Each requires that kind.
  bool as_bool() const { return std::get<bool>(data_); }
  std::int64_t as_int() const { return std::get<std::int64_t>(data_); }
  double as_real() const { return std::get<double>(data_); }
  const Text& as_text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  std::string_view as_bytes() const;  // of a text
  const List& as_list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  const std::shared_ptr<const List>& shared_list() const {
    return std::get<std::shared_ptr<const List>>(data_);
  }
  const Dict& as_dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  Namespace& as_namespace() const { return *std::get<std::shared_ptr<Namespace>>(data_); }
  Loop& as_loop() const { return *std::get<std::shared_ptr<Loop>>(data_); }
  Callable& as_callable() const { return *std::get<std::shared_ptr<Callable>>(data_); }
  const Undefined& as_undefined() const { return std::get<Undefined>(data_); }

  bool truth() const;                  // Python's bool()
  std::uint32_t depth() const;         // of lists and dicts: 1 + that of their deepest element; else 0
  const void* identity() const;        // of the object; null for a plain value
  std::string_view type_name() const;  // Python's: "str", "dict", "NoneType"

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
               std::shared_ptr<Loop>, std::shared_ptr<Callable>>
      data_;
};

struct Text {
  std::string bytes;    // UTF-8; bytes that are not count as a character each
  bool markup = false;  // marked safe: what is added to it is escaped (markupsafe.Markup)
  Charge charge;
};

// What Python type a sequence of values prints and behaves as.
enum class ListKind : std::uint8_t { list, tuple, dict_keys, dict_values, dict_items, range, generator };

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::list;
  std::uint32_t depth = 1;
  mutable std::size_t taken = 0;  // generator: how many items were iterated over; it yields each once
  std::int64_t start = 0, stop = 0, step = 1;  // range
  Charge charge;
};

// Orders scalars (text, numbers, booleans, none) so that those which Python calls equal are equivalent.
struct KeyLess {
  bool operator()(const Value& a, const Value& b) const;
};
bool is_key(const Value& value);  // whether KeyLess orders it

// Keys in the order of their first insertion.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  std::map<Value, std::uint32_t, KeyLess> index;  // empty while there are few entries
  std::uint32_t depth = 1;
  Charge charge;

  const Value* find(const Value& key) const;  // null if absent, or no key
  const Value* find(std::string_view key) const;
  const Value* find(const char* key) const { return find(std::string_view(key)); }
  void set(Value key, Value value);  // requires is_key(key)

 private:
  std::uint32_t position(const Value& key) const;  // entries.size() if absent
};

}  // namespace serveloop::text::jinja
