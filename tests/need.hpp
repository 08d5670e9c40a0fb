// A result's value; without one, an exception with its error.
#pragma once

#include <stdexcept>
#include <utility>

#include "base/result.hpp"

namespace serveloop::test {

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

}  // namespace serveloop::test
