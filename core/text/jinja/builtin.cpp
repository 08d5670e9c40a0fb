#include "text/jinja/builtin.hpp"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"

namespace serveloop::text::jinja {

namespace {

using Index = std::unordered_map<std::string_view, const Builtin*>;

Index index_of(std::initializer_list<Table> tables) {
  Index index;
  for (const Table table : tables)
    for (const Builtin& builtin : table) index.emplace(builtin.name, &builtin);
  return index;
}

const Builtin* find(const Index& index, std::string_view name) {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

tl::unexpected<Fault> wrong_call(std::string_view name, const std::string& what) {
  return fault(std::string(name) + "() " + what);
}

// Splits "a! b c" into names, and tells which must be given.
struct Signature {
  std::vector<std::string_view> names;
  std::size_t required = 0;
};

Signature signature_of(std::string_view parameters) {
  Signature signature;
  while (!parameters.empty()) {
    const std::size_t space = std::min(parameters.find(' '), parameters.size());
    std::string_view name = parameters.substr(0, space);
    parameters.remove_prefix(std::min(space + 1, parameters.size()));
    if (name.back() == '!') {
      name.remove_suffix(1);
      ++signature.required;
    }
    signature.names.push_back(name);
  }
  return signature;
}

Done bind(Call& call, std::string_view parameters, Arguments arguments) {
  if (parameters == "*") {
    call.rest = std::move(arguments);
    return {};
  }
  const Signature signature = signature_of(parameters);
  call.given.resize(signature.names.size());
  if (arguments.positional.size() > signature.names.size())
    return wrong_call(call.name, "takes at most " + std::to_string(signature.names.size()) +
                                     " arguments, got " + std::to_string(arguments.positional.size()));
  for (std::size_t i = 0; i < arguments.positional.size(); ++i)
    call.given[i] = std::move(arguments.positional[i]);
  for (auto& [name, value] : arguments.named) {
    const auto place = std::find(signature.names.begin(), signature.names.end(), name);
    if (place == signature.names.end())
      return wrong_call(call.name, "got an unexpected keyword argument '" + shortened(name) + "'");
    auto& given = call.given[static_cast<std::size_t>(place - signature.names.begin())];
    if (given) return wrong_call(call.name, "got multiple values for argument '" + name + "'");
    given = std::move(value);
  }
  for (std::size_t i = 0; i < signature.required; ++i)
    if (!call.given[i])
      return wrong_call(call.name, "misses its argument '" + std::string(signature.names[i]) + "'");
  return {};
}

constexpr std::string_view kUnsafeDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kUnsafeList[] = {"append", "clear", "pop",    "reverse",
                                            "insert", "sort",  "extend", "remove"};

bool is_list(const Value& value, ListKind kind) {
  return value.is(Kind::list) && value.as_list().kind == kind;
}

}  // namespace

tl::unexpected<Fault> Call::refuse(std::string_view wanted, const Value& found) const {
  if (found.is(Kind::undefined)) return undefined_fault(found);
  return fault(std::string(name) + "() expects " + std::string(wanted) + ", not '" +
               std::string(found.type_name()) + "'");
}

Outcome<std::int64_t> Call::integer(std::size_t i, std::int64_t standard) const {
  if (!has(i)) return standard;
  if (at(i).is(Kind::integer) || at(i).is(Kind::boolean)) return to_int(at(i));
  return refuse("an integer", at(i));
}

Outcome<std::string> Call::text(std::size_t i, std::string_view standard) const {
  if (!has(i)) return std::string(standard);
  return str(run, at(i));
}

Outcome<std::string_view> Call::words(std::size_t i, std::string_view standard) const {
  if (!has(i)) return standard;
  if (!at(i).is(Kind::text)) return refuse("text", at(i));
  return at(i).as_bytes();
}

Outcome<Value> call_builtin(Run& run, const Builtin& builtin, const Value& self, Arguments arguments) {
  const Nesting nesting(run);
  JINJA_CHECK(nesting.check());
  JINJA_CHECK(run.spend(1 + arguments.positional.size() + arguments.named.size()));
  Call call{run, self, {}, {}, builtin.name};
  JINJA_CHECK(bind(call, builtin.parameters, std::move(arguments)));
  return builtin.function(call);
}

const Builtin* find_filter(std::string_view name) {
  static const Index kIndex = index_of({text_filters(), escape_filters(), sequence_filters(), order_filters(),
                                        select_filters(), number_filters()});
  return find(kIndex, name);
}

const Builtin* find_test(std::string_view name) {
  static const Index kIndex = index_of({tests(), order_tests()});
  return find(kIndex, name);
}

const Builtin* find_global(std::string_view name) {
  static const Index kIndex = index_of({globals()});
  return find(kIndex, name);
}

const Builtin* find_method(const Value& object, std::string_view name) {
  static const Index kText = index_of({text_methods(), split_methods()});
  static const Index kDict = index_of({dict_methods()}), kList = index_of({list_methods()});
  static const Index kLoop = index_of({loop_methods()}), kCycler = index_of({cycler_methods()});
  switch (object.kind()) {
    case Kind::text: return find(kText, name);
    case Kind::dict: return find(kDict, name);
    case Kind::loop: return find(kLoop, name);
    case Kind::list:
      return is_list(object, ListKind::list) || is_list(object, ListKind::tuple) ||
                     is_list(object, ListKind::range)
                 ? find(kList, name)
                 : nullptr;
    case Kind::callable: return object.as_callable().cycler ? find(kCycler, name) : nullptr;
    default: return nullptr;
  }
}

bool is_unsafe(const Value& object, std::string_view name) {
  const auto among = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return (object.is(Kind::dict) && among(kUnsafeDict)) ||
         (is_list(object, ListKind::list) && among(kUnsafeList));
}

}  // namespace serveloop::text::jinja
