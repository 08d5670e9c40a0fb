// Attributes, items, slices and iteration, as the sandboxed environment gives them. Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

Outcome<Value> get_attribute(Run& run, const Value& object, std::string_view name);  // object.name
Outcome<Value> get_item(Run& run, const Value& object, const Value& key);            // object[key]

// object[start:stop:step]; none where a bound is absent.
Outcome<Value> get_slice(Run& run, const Value& object, const Value& start, const Value& stop,
                         const Value& step);

// What a loop over the value goes through. A generator is used up.
Outcome<std::shared_ptr<const List>> iterate(Run& run, const Value& value);
bool is_iterable(const Value& value);

Outcome<std::int64_t> length(Run& run, const Value& value);  // len()

// The value at a path of names and indices, "function.name", as map(attribute=) takes it.
Outcome<Value> get_path(Run& run, const Value& object, const Value& path);

}  // namespace serveloop::text::jinja
