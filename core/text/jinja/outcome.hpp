// How errors travel inside the interpreter: small, because each nested evaluation's stack frame holds some.
// The chat template turns them into Error at its border. Threads: plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace serveloop::text::jinja {

struct FaultInfo {
  std::string text;
  std::uint32_t line = 0;  // of the template; 0 while unknown
  bool raised = false;     // by the template itself, with raise_exception
};
using Fault = std::unique_ptr<FaultInfo>;

template <class T>
using Outcome = tl::expected<T, Fault>;
using Done = Outcome<void>;

inline tl::unexpected<Fault> fault(std::string text) {
  return tl::unexpected<Fault>(std::make_unique<FaultInfo>(FaultInfo{std::move(text)}));
}

}  // namespace serveloop::text::jinja

// NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared cannot stand in parentheses

// `JINJA_TRY(value, evaluate(x));` declares `value`, or returns the fault.
#define JINJA_TRY(name, expression)                                              \
  auto name##_outcome = (expression);                                            \
  if (!name##_outcome) return tl::unexpected(std::move(name##_outcome.error())); \
  auto& name = *name##_outcome

// NOLINTEND(bugprone-macro-parentheses)

// `JINJA_CHECK(run.spend(1));` returns the fault, if any.
#define JINJA_CHECK(expression) \
  if (auto outcome_ = (expression); !outcome_) return tl::unexpected(std::move(outcome_.error()))
