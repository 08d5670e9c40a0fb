#include "text/jinja/access.hpp"

#include <algorithm>

#include "text/jinja/builtin.hpp"
#include "text/jinja/number.hpp"
#include "text/jinja/print.hpp"
#include "text/jinja/unicode.hpp"

namespace serveloop::text::jinja {

namespace {

std::string described(const Value& object) {
  if (object.is(Kind::none)) return "'None'";
  return "'" + std::string(object.type_name()) + " object'";
}

Value no_attribute(Run& run, const Value& object, std::string_view name) {
  return run.undefined(described(object) + " has no attribute '" + shortened(name) + "'");
}

std::optional<Value> loop_attribute(Run& run, const Loop& loop, std::string_view name) {
  const std::size_t count = loop.items->items.size();
  const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
  if (name == "index") return number(loop.at + 1);
  if (name == "index0") return number(loop.at);
  if (name == "revindex") return number(count - loop.at);
  if (name == "revindex0") return number(count - loop.at - 1);
  if (name == "first") return Value(loop.at == 0);
  if (name == "last") return Value(loop.at + 1 == count);
  if (name == "length") return number(count);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem")
    return loop.at == 0 ? run.undefined("there is no previous item") : loop.items->items[loop.at - 1];
  if (name == "nextitem")
    return loop.at + 1 == count ? run.undefined("there is no next item") : loop.items->items[loop.at + 1];
  return std::nullopt;
}

// What Python's getattr() finds; nothing where it finds none.
Outcome<std::optional<Value>> own_attribute(Run& run, const Value& object, std::string_view name) {
  if (is_unsafe(object, name))
    return run.undefined("access to attribute '" + std::string(name) + "' of '" +
                         std::string(object.type_name()) + "' object is unsafe");
  if (object.is(Kind::loop))
    if (auto found = loop_attribute(run, object.as_loop(), name)) return found;
  if (object.is(Kind::name_space)) {
    const Value* found = object.as_namespace().attributes.find(name);
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  if (object.is(Kind::callable) && object.as_callable().cycler && name == "current")
    return object.as_callable().state[object.as_callable().position];
  if (const Builtin* method = find_method(object, name)) {
    Callable bound;
    bound.builtin = method;
    bound.self = object;
    JINJA_TRY(value, run.callable(std::move(bound)));
    return std::optional<Value>(std::move(value));
  }
  return std::nullopt;
}

// What Python's object[key] finds; nothing where it raises.
Outcome<std::optional<Value>> own_item(Run& run, const Value& object, const Value& key) {
  if (object.is(Kind::dict)) {
    const Value* found = object.as_dict().find(key);
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  if (!key.is(Kind::integer) && !key.is(Kind::boolean)) return std::nullopt;
  const auto wrapped = [](std::int64_t index, std::size_t size) {
    return static_cast<std::size_t>(index < 0 ? index + static_cast<std::int64_t>(size) : index);
  };
  if (object.is(Kind::list)) {
    const List& list = object.as_list();
    if (list.kind != ListKind::list && list.kind != ListKind::tuple && list.kind != ListKind::range)
      return std::nullopt;
    const std::size_t at = wrapped(to_int(key), list.items.size());
    return at < list.items.size() ? std::optional<Value>(list.items[at]) : std::nullopt;
  }
  if (!object.is(Kind::text)) return std::nullopt;
  const std::string_view text = object.as_bytes();
  JINJA_CHECK(unicode::ascii(text) ? run.budget.spend_bytes(text.size())
                                   : run.budget.spend_characters(text.size()));
  const std::size_t count = unicode::length(text), at = wrapped(to_int(key), count);
  if (at >= count) return std::nullopt;
  const std::size_t offset = count == text.size() ? at : unicode::offset_of(text, at);
  JINJA_TRY(one, run.text(std::string(text.substr(offset, unicode::at(text, offset).bytes)),
                          object.as_text().markup));
  return std::optional<Value>(std::move(one));
}

// Python's slice.indices(): bounds within `size`, for a step of either sign.
struct Slice {
  std::int64_t start = 0, step = 1;
  std::size_t count = 0;
};

Outcome<Slice> slice_of(const Value& start, const Value& stop, const Value& step, std::int64_t size) {
  for (const Value* bound : {&start, &stop, &step})
    if (!bound->is(Kind::none) && !bound->is(Kind::integer) && !bound->is(Kind::boolean))
      return bound->is(Kind::undefined) ? undefined_fault(*bound)
                                        : fault("slice indices are integers or none");
  Slice slice;
  if (!step.is(Kind::none)) slice.step = to_int(step);
  if (slice.step == 0) return fault("slice step cannot be zero");
  const bool down = slice.step < 0;
  const auto bounded = [&](const Value& bound, std::int64_t standard) {
    if (bound.is(Kind::none)) return standard;
    std::int64_t at = to_int(bound);
    if (at < 0)
      at = at < -size ? -1 : at + size;
    else if (at > size)
      at = size;
    if (to_int(bound) < -size) return down ? std::int64_t{-1} : std::int64_t{0};
    return down ? std::min(at, size - 1) : at;
  };
  slice.start = bounded(start, down ? size - 1 : 0);
  const std::int64_t end = bounded(stop, down ? -1 : size);
  const std::uint64_t distance =
      down ? (slice.start > end ? static_cast<std::uint64_t>(slice.start - end) : 0)
           : (end > slice.start ? static_cast<std::uint64_t>(end - slice.start) : 0);
  const std::uint64_t stride =
      down ? ~static_cast<std::uint64_t>(slice.step) + 1 : static_cast<std::uint64_t>(slice.step);
  slice.count = static_cast<std::size_t>(distance == 0 ? 0 : (distance - 1) / stride + 1);
  return slice;
}

Outcome<Value> slice_text(Run& run, const Text& text, const Slice& slice) {
  JINJA_CHECK(run.reserve_text(text.bytes.size()));
  JINJA_CHECK(run.budget.spend_characters(text.bytes.size()));
  std::string out;
  if (slice.step == 1) {
    const std::size_t first = unicode::offset_of(text.bytes, static_cast<std::size_t>(slice.start));
    const std::string_view rest = std::string_view(text.bytes).substr(first);
    out = rest.substr(0, unicode::offset_of(rest, slice.count));
    return run.text(std::move(out), text.markup);
  }
  JINJA_CHECK(run.reserve_items(text.bytes.size() / 4));
  std::vector<std::uint32_t> offsets;
  for (std::size_t at = 0; at < text.bytes.size(); at += unicode::at(text.bytes, at).bytes)
    offsets.push_back(static_cast<std::uint32_t>(at));
  for (std::size_t i = 0; i < slice.count; ++i) {
    const std::size_t at =
        offsets[static_cast<std::size_t>(slice.start + static_cast<std::int64_t>(i) * slice.step)];
    out.append(text.bytes, at, unicode::at(text.bytes, at).bytes);
  }
  return run.text(std::move(out), text.markup);
}

}  // namespace

Outcome<Value> get_attribute(Run& run, const Value& object, std::string_view name) {
  if (object.is(Kind::undefined)) return undefined_fault(object);
  JINJA_CHECK(run.budget.spend_bytes(name.size()));
  JINJA_TRY(own, own_attribute(run, object, name));
  if (own) return std::move(*own);
  if (object.is(Kind::dict))
    if (const Value* found = object.as_dict().find(name)) return *found;
  return no_attribute(run, object, name);
}

Outcome<Value> get_item(Run& run, const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) return undefined_fault(object);
  if (key.is(Kind::text))
    JINJA_CHECK(run.budget.spend_characters(key.as_bytes().size()));  // an index looks some times
  JINJA_TRY(item, own_item(run, object, key));
  if (item) return std::move(*item);
  if (!key.is(Kind::text)) {
    if (key.is(Kind::list) || key.is(Kind::dict))
      return run.undefined(described(object) + " has no such element");
    JINJA_TRY(shown, repr(run, key));
    return run.undefined(described(object) + " has no element " + shown);
  }
  JINJA_TRY(own, own_attribute(run, object, key.as_bytes()));
  if (own) return std::move(*own);
  return no_attribute(run, object, key.as_bytes());
}

Outcome<Value> get_slice(Run& run, const Value& object, const Value& start, const Value& stop,
                         const Value& step) {
  if (object.is(Kind::undefined)) return undefined_fault(object);
  const bool list = object.is(Kind::list) &&
                    (object.as_list().kind == ListKind::list || object.as_list().kind == ListKind::tuple ||
                     object.as_list().kind == ListKind::range);
  if (!list && !object.is(Kind::text))
    return fault("'" + std::string(object.type_name()) + "' object cannot be sliced");
  JINJA_TRY(size, length(run, object));
  JINJA_TRY(slice, slice_of(start, stop, step, size));
  if (!list) return slice_text(run, object.as_text(), slice);
  JINJA_CHECK(run.reserve_items(slice.count));
  std::vector<Value> items;
  items.reserve(slice.count);
  for (std::size_t i = 0; i < slice.count; ++i)
    items.push_back(
        object.as_list()
            .items[static_cast<std::size_t>(slice.start + static_cast<std::int64_t>(i) * slice.step)]);
  return run.list(std::move(items),
                  object.as_list().kind == ListKind::tuple ? ListKind::tuple : ListKind::list);
}

bool is_iterable(const Value& value) {
  return value.is(Kind::undefined) || value.is(Kind::text) || value.is(Kind::list) || value.is(Kind::dict);
}

Outcome<std::shared_ptr<const List>> iterate(Run& run, const Value& value) {
  std::vector<Value> items;
  if (value.is(Kind::list)) {
    const List& list = value.as_list();
    const std::size_t from =
        list.kind == ListKind::generator ? std::exchange(list.taken, list.items.size()) : 0;
    if (from == 0) return std::shared_ptr<const List>(value.shared_list());
    JINJA_CHECK(run.reserve_items(list.items.size() - from));
    items.assign(list.items.begin() + static_cast<std::ptrdiff_t>(from), list.items.end());
  } else if (value.is(Kind::dict)) {
    JINJA_CHECK(run.reserve_items(value.as_dict().entries.size()));
    for (const auto& [key, unused] : value.as_dict().entries) items.push_back(key);
  } else if (value.is(Kind::text)) {
    const std::string_view text = value.as_bytes();
    JINJA_CHECK(run.reserve_items(unicode::length(text)));
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = unicode::at(text, at).bytes;
      JINJA_TRY(one, run.text(std::string(text.substr(at, bytes)), value.as_text().markup));
      items.push_back(std::move(one));
      at += bytes;
    }
  } else if (!value.is(Kind::undefined)) {
    return fault("'" + std::string(value.type_name()) + "' object is not iterable");
  }
  JINJA_TRY(made, run.list(std::move(items)));
  return std::shared_ptr<const List>(made.shared_list());
}

Outcome<std::int64_t> length(Run& run, const Value& value) {
  std::size_t found = 0;
  switch (value.kind()) {
    case Kind::undefined: break;
    case Kind::text:
      JINJA_CHECK(run.budget.spend_characters(value.as_bytes().size()));
      found = unicode::length(value.as_bytes());
      break;
    case Kind::dict: found = value.as_dict().entries.size(); break;
    case Kind::loop: found = value.as_loop().items->items.size(); break;
    case Kind::list:
      if (value.as_list().kind != ListKind::generator) {
        found = value.as_list().items.size();
        break;
      }
      [[fallthrough]];
    default: return fault("object of type '" + std::string(value.type_name()) + "' has no len()");
  }
  return static_cast<std::int64_t>(found);
}

Outcome<Value> get_path(Run& run, const Value& object, const Value& path) {
  JINJA_CHECK(run.spend(1));
  if (!path.is(Kind::text)) return get_item(run, object, path);
  std::string_view rest = path.as_bytes();
  Value found = object;
  for (bool more = true; more;) {
    const std::size_t dot = rest.find('.');
    more = dot != rest.npos;
    const std::string_view name = rest.substr(0, dot);
    rest.remove_prefix(more ? dot + 1 : rest.size());
    const bool index =
        !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto number = index ? read_int(name, 10) : std::nullopt;
    JINJA_CHECK(run.budget.spend_bytes(name.size()));
    JINJA_TRY(key, run.text(std::string(name)));
    JINJA_TRY(next, get_item(run, found, number ? Value(*number) : key));
    found = std::move(next);
  }
  return found;
}

}  // namespace serveloop::text::jinja
