// Results: what a core function hands back instead of throwing. An Error is one line that says what went
// wrong, what was expected, what was found, and what to try next. Thread safety: plain values; each belongs
// to whoever holds it.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace serveloop {

struct Error {
  std::string what;      // the subject, with its place: "engine.toml:3:1: engine.threads"
  std::string expected;  // what would have been right; may be empty
  std::string found;     // what was there; may be empty
  std::string hint;      // what to try next; may be empty

  // One line: `what: expected X, found Y; hint`, without the parts that are empty. Control characters, which
  // hostile input may have put in, come out as '?'.
  std::string message() const {
    std::string line = what;
    std::string detail;
    if (!expected.empty()) detail += "expected " + expected;
    if (!found.empty()) detail += (detail.empty() ? "found " : ", found ") + found;
    if (!detail.empty()) line += (line.empty() ? "" : ": ") + detail;
    if (!hint.empty()) line += (line.empty() ? "" : "; ") + hint;
    for (char& c : line) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7f) c = byte == '\n' || byte == '\t' ? ' ' : '?';
    }
    return line;
  }

  friend bool operator==(const Error& a, const Error& b) {
    return a.what == b.what && a.expected == b.expected && a.found == b.found && a.hint == b.hint;
  }
};

template <class T>
using Result = tl::expected<T, Error>;

using Status = Result<void>;

// `return fail("engine.lag", "0 or 1", "2");` from any function that returns a Result or a Status.
inline tl::unexpected<Error> fail(std::string what, std::string expected = {}, std::string found = {},
                                  std::string hint = {}) {
  return tl::unexpected<Error>(
      Error{std::move(what), std::move(expected), std::move(found), std::move(hint)});
}

// The same error, with what it is about in front: "workload.trace: day.csv:3: TIMESTAMP".
inline tl::unexpected<Error> about(std::string subject, Error error) {
  error.what = error.what.empty() ? std::move(subject) : std::move(subject) + ": " + error.what;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace serveloop
