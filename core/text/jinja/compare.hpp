// Python's ==, < and `in`, and a sort that survives any order. Each comparison costs work, so that shared elements
// cannot make one exponential. Threads: one rendering's own.
#pragma once

#include "text/jinja/run.hpp"

namespace serveloop::text::jinja {

Outcome<bool> equal(Run& run, const Value& a, const Value& b);
Outcome<bool> less(Run& run, const Value& a, const Value& b);  // fails on types without an order
Outcome<bool> compare(Run& run, std::string_view op, const Value& a, const Value& b);  // == != < <= > >=
Outcome<bool> contains(Run& run, const Value& container, const Value& element);

// Stable; `before(a, b)` is an Outcome<bool> and need not be an order.
template <class T, class Before>
Done merge_sort(Run& run, std::vector<T>& items, Before before) {
  std::vector<T> other(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    JINJA_CHECK(run.spend(items.size()));
    for (std::size_t start = 0; start < items.size(); start += 2 * width) {
      const std::size_t middle = std::min(start + width, items.size()),
                        end = std::min(middle + width, items.size());
      std::size_t a = start, b = middle;
      for (std::size_t to = start; to < end; ++to) {
        bool second = a == middle;
        if (!second && b < end) {
          JINJA_TRY(turned, before(items[b], items[a]));
          second = turned;
        }
        other[to] = std::move(second ? items[b++] : items[a++]);
      }
    }
    std::swap(items, other);
  }
  return {};
}

}  // namespace serveloop::text::jinja
