// A dict with up to kFewEntries is searched from its start; one with more keeps an ordered index, so that no
// choice of keys makes it slow.
#include "text/jinja/value.hpp"

#include <algorithm>

#include "text/jinja/number.hpp"
#include "text/jinja/object.hpp"

namespace serveloop::text::jinja {

namespace {

constexpr std::size_t kFewEntries = 12;

bool is_number(const Value& value) {
  return value.is(Kind::integer) || value.is(Kind::real) || value.is(Kind::boolean);
}

int rank(const Value& value) {
  if (is_number(value)) return 1;
  return value.is(Kind::text) ? 2 : 0;
}

bool same_key(const Value& a, const Value& b) {
  if (a.is(Kind::text) && b.is(Kind::text)) return a.as_bytes() == b.as_bytes();
  if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
  return a.is(Kind::none) && b.is(Kind::none);
}

}  // namespace

Value Value::text(std::string utf8) {
  return Value(std::shared_ptr<const Text>(std::make_shared<Text>(Text{std::move(utf8), false, {}})));
}

Value Value::list(std::vector<Value> items) {
  auto made = std::make_shared<List>();
  for (const Value& item : items) made->depth = std::max(made->depth, item.depth() + 1);
  made->items = std::move(items);
  return Value(std::shared_ptr<const List>(std::move(made)));
}

Value Value::dict(std::vector<std::pair<std::string, Value>> entries) {
  auto made = std::make_shared<Dict>();
  made->entries.reserve(entries.size());
  for (auto& entry : entries) made->set(text(std::move(entry.first)), std::move(entry.second));
  return Value(std::shared_ptr<const Dict>(std::move(made)));
}

std::string_view Value::as_bytes() const { return as_text().bytes; }

bool Value::truth() const {
  switch (kind()) {
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean: return as_bool();
    case Kind::integer: return as_int() != 0;
    case Kind::real: return as_real() != 0;
    case Kind::text: return !as_bytes().empty();
    case Kind::list: return as_list().kind == ListKind::generator || !as_list().items.empty();
    case Kind::dict: return !as_dict().entries.empty();
    case Kind::loop:  // has a length, which its body never sees at zero
    case Kind::name_space:
    case Kind::callable: return true;
  }
  return false;
}

std::uint32_t Value::depth() const {
  if (is(Kind::list)) return as_list().depth;
  return is(Kind::dict) ? as_dict().depth : 0;
}

const void* Value::identity() const {
  return std::visit(
      [](const auto& held) -> const void* {
        if constexpr (requires { held.get(); }) return held.get();
        return nullptr;
      },
      data_);
}

std::string_view Value::type_name() const {
  switch (kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::text: return as_text().markup ? "Markup" : "str";
    case Kind::dict: return "dict";
    case Kind::name_space: return "Namespace";
    case Kind::loop: return "LoopContext";
    case Kind::callable: return "function";
    case Kind::list: break;
  }
  switch (as_list().kind) {
    case ListKind::list: return "list";
    case ListKind::tuple: return "tuple";
    case ListKind::dict_keys: return "dict_keys";
    case ListKind::dict_values: return "dict_values";
    case ListKind::dict_items: return "dict_items";
    case ListKind::range: return "range";
    case ListKind::generator: break;
  }
  return "generator";
}

bool is_key(const Value& value) { return is_number(value) || value.is(Kind::text) || value.is(Kind::none); }

bool KeyLess::operator()(const Value& a, const Value& b) const {
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (a.is(Kind::text)) return a.as_bytes() < b.as_bytes();
  return is_number(a) && compare_numbers(a, b) < 0;
}

std::uint32_t Dict::position(const Value& key) const {
  if (!is_key(key)) return static_cast<std::uint32_t>(entries.size());
  if (!index.empty()) {
    const auto found = index.find(key);
    return found == index.end() ? static_cast<std::uint32_t>(entries.size()) : found->second;
  }
  std::uint32_t at = 0;
  while (at < entries.size() && !same_key(entries[at].first, key)) ++at;
  return at;
}

const Value* Dict::find(const Value& key) const {
  const std::uint32_t at = position(key);
  return at == entries.size() ? nullptr : &entries[at].second;
}

const Value* Dict::find(std::string_view key) const {
  if (!index.empty()) return find(Value::text(std::string(key)));
  for (const auto& [name, value] : entries)
    if (name.is(Kind::text) && name.as_bytes() == key) return &value;
  return nullptr;
}

void Dict::set(Value key, Value value) {
  depth = std::max(depth, value.depth() + 1);
  const std::uint32_t at = position(key);
  if (at < entries.size()) {
    entries[at].second = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (!index.empty()) {
    index.emplace(entries.back().first, at);
  } else if (entries.size() > kFewEntries) {
    for (std::uint32_t i = 0; i < entries.size(); ++i) index.emplace(entries[i].first, i);
  }
}

}  // namespace serveloop::text::jinja
