// Stop strings over streamed text, whatever its portions (Aho and Corasick, 1975).
//
// A text stops where the first stop string ends in it; of several that end there, the longest counts. What
// precedes it is delivered, nothing else. While text comes, only what may still become a stop string is held
// back: it is the beginning of one, so a matcher keeps a number and no text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/trie.hpp"

namespace serveloop::text {

inline constexpr std::size_t kMaxStops = 64;
inline constexpr std::size_t kMaxStopBytes = 1024;  // of one stop string

// The stop strings of a request. Immutable: shared by its sequences, and by requests that state the same.
class StopSet {
 public:
  // Fails on too many, and on a string that is empty, too long or not UTF-8. No strings: nothing stops.
  static Result<StopSet> create(std::vector<std::string> stops);
  std::span<const std::string> stops() const { return stops_; }

 private:
  friend class StopMatcher;
  explicit StopSet(std::vector<std::string> stops);
  std::uint32_t next(std::uint32_t state, std::uint8_t byte) const;
  std::string_view held(std::uint32_t state) const;  // the text that a state stands for

  std::vector<std::string> stops_;
  Trie trie_;  // a state is a node: the longest end of the text that begins a stop string
  std::vector<std::uint32_t> fail_;  // [states]: the state of the longest proper end that is one
  std::vector<std::uint32_t> ends_;  // [states]: the longest stop string that ends there, or Trie::kNone
};

struct Stop {
  std::size_t which = 0;  // index in stops(); the first of equal ones
  std::uint64_t at = 0;   // byte of the text at which it begins: all before it was delivered
};

// One sequence's place in its stop strings. A plain value that one thread at a time may use.
class StopMatcher {
 public:
  explicit StopMatcher(const StopSet& stops) : stops_(&stops) {}  // which must outlive it

  // Appends to `out` what may be delivered of the text so far. True once a stop string was found; what comes
  // later is dropped. Amortised O(text).
  bool push(std::string_view text, std::string& out);
  // The text is over: appends what was held back.
  void finish(std::string& out);
  const std::optional<Stop>& stop() const { return stop_; }
  std::size_t held_bytes() const { return stops_->trie_[state_].depth; }

 private:
  void deliver(std::string_view held, std::string_view text, std::size_t bytes, std::string& out);

  const StopSet* stops_;
  std::uint64_t delivered_ = 0;  // bytes
  std::optional<Stop> stop_;
  std::uint32_t state_ = Trie::kRoot;
};

}  // namespace serveloop::text
