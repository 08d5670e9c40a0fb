// Sizes are estimates from above of what the allocator hands out for each value.
#include "text/jinja/run.hpp"

#include <algorithm>

namespace serveloop::text::jinja {

namespace {

constexpr std::size_t kTextBytes = sizeof(Text) + 32;
constexpr std::size_t kListBytes = sizeof(List) + 32;
constexpr std::size_t kDictBytes = sizeof(Dict) + 32;
constexpr std::size_t kVariableBytes = sizeof(Value) + 48;
constexpr std::size_t kEntryBytes =
    2 * sizeof(Value) + sizeof(Value) + 64;  // the entry and its place in the index

Done check_depth(std::uint32_t depth) {
  if (depth > kMaxValueDepth)
    return fault("lists and dicts inside one another more than " + std::to_string(kMaxValueDepth) + " deep");
  return {};
}

}  // namespace

Run::~Run() {
  for (const auto& space : namespaces_) space->attributes = Dict{};
  for (const auto& scope : scopes_) scope->variables.clear();
}

Done Run::reserve_text(std::size_t bytes) {
  if (bytes > budget.limits().value_bytes) bytes = budget.limits().value_bytes;  // which is refused
  JINJA_CHECK(budget.room_for(bytes + kTextBytes));
  return budget.spend_bytes(bytes);
}

Done Run::reserve_items(std::size_t items) {
  if (items > budget.limits().value_bytes / sizeof(Value))
    items = budget.limits().value_bytes / sizeof(Value);
  JINJA_CHECK(budget.room_for(items * sizeof(Value) + kListBytes));
  return budget.spend(items + 1);
}

Outcome<Value> Run::text(std::string bytes, bool markup) {
  JINJA_CHECK(reserve_text(bytes.size()));
  const std::size_t size = bytes.capacity() + kTextBytes;
  auto made = std::make_shared<Text>(Text{std::move(bytes), markup, Charge(budget, size)});
  return Value(std::shared_ptr<const Text>(std::move(made)));
}

Outcome<Value> Run::list(std::vector<Value> items, ListKind kind) {
  JINJA_CHECK(reserve_items(items.size()));
  auto made = std::make_shared<List>();
  for (const Value& item : items) made->depth = std::max(made->depth, item.depth() + 1);
  JINJA_CHECK(check_depth(made->depth));
  made->charge = Charge(budget, items.capacity() * sizeof(Value) + kListBytes);
  made->items = std::move(items);
  made->kind = kind;
  return Value(std::shared_ptr<const List>(std::move(made)));
}

Outcome<Value> Run::dict(std::vector<std::pair<Value, Value>> entries) {
  JINJA_CHECK(budget.spend(entries.size() + 1));
  JINJA_CHECK(budget.room_for(entries.size() * kEntryBytes + kDictBytes));
  auto made = std::make_shared<Dict>();
  for (auto& entry : entries) {
    const Value& key = entry.first;
    if (!is_key(key))
      return fault("a dict's key is a string, a number, a boolean or none, not '" +
                   std::string(key.type_name()) + "'");
    if (key.is(Kind::text)) JINJA_CHECK(budget.spend_characters(key.as_bytes().size()));
    made->set(std::move(entry.first), std::move(entry.second));
  }
  JINJA_CHECK(check_depth(made->depth));
  made->charge = Charge(budget, made->entries.size() * kEntryBytes + kDictBytes);
  return Value(std::shared_ptr<const Dict>(std::move(made)));
}

Outcome<std::shared_ptr<Namespace>> Run::make_namespace() {
  constexpr std::size_t kBytes = sizeof(Namespace) + 64;
  JINJA_CHECK(budget.room_for(kBytes));
  auto made = std::make_shared<Namespace>();
  made->charge = Charge(budget, kBytes);
  namespaces_.push_back(made);
  return made;
}

Outcome<Value> Run::callable(Callable made) {
  const std::size_t size = sizeof(Callable) + 32 + made.state.capacity() * sizeof(Value);
  JINJA_CHECK(budget.spend(1));
  JINJA_CHECK(budget.room_for(size));
  made.charge = Charge(budget, size);
  return Value(std::make_shared<Callable>(std::move(made)));
}

Outcome<std::shared_ptr<Frame>> Run::frame(std::shared_ptr<Frame> parent) {
  constexpr std::size_t kBytes = sizeof(Frame) + 64;
  JINJA_CHECK(budget.room_for(kBytes));
  auto made = std::make_shared<Frame>();
  made->parent = std::move(parent);
  made->charge = Charge(budget, kBytes);
  return made;
}

void Run::keep(std::shared_ptr<Frame> scope) {
  if (scopes_.empty() || scopes_.back() != scope) scopes_.push_back(std::move(scope));
}

Done Run::store(Frame& frame, std::uint32_t name, Value value) {
  const auto [place, added] = frame.variables.insert_or_assign(name, std::move(value));
  if (!added) return {};
  frame.charge.grow(budget, kVariableBytes);
  return budget.room_for(0);
}

Done Run::store(Namespace& space, Value name, Value value) {
  const std::size_t before = space.attributes.entries.size();
  space.attributes.set(std::move(name), std::move(value));
  if (space.attributes.entries.size() == before) return {};
  space.charge.grow(budget, kEntryBytes);
  return budget.room_for(0);
}

Value Run::undefined(std::string why) {
  const std::size_t size = why.capacity() + kTextBytes;
  if (!budget.room_for(size)) return {};
  return Value(Undefined{std::make_shared<const Text>(Text{std::move(why), false, Charge(budget, size)})});
}

tl::unexpected<Fault> undefined_fault(const Value& value) {
  const auto& why = value.as_undefined().why;
  return fault(why ? why->bytes : "an undefined value");
}

std::string shortened(std::string_view name) {
  constexpr std::size_t kLongest = 60;
  std::string out(name.substr(0, kLongest));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return name.size() > kLongest ? out + "..." : out;
}

}  // namespace serveloop::text::jinja
