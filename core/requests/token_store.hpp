// The tokens that sequences have generated: chunks of one store, so that adding a token never moves those before it and
// a long answer costs each step the same as a short one. A list keeps its last few to itself, beside what a step touches
// of its sequence anyway: the store's lines are written once for every kTail tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/huge_pages.hpp"
#include "requests/spec.hpp"

namespace serveloop::requests {

// One sequence's generated tokens; the store's to read and to change. {} is an empty list.
struct TokenList {
  static constexpr std::uint32_t kTail = 4;
  std::uint32_t last = UINT32_MAX;  // its last chunk
  std::uint32_t count = 0;
  Token tail[kTail] = {};  // the newest 1 to kTail; all groups of kTail that are whole are in chunks too
};

class TokenStore {
 public:
  // Memory for `expected` tokens is there from the start, up to kMostPopulated.
  explicit TokenStore(std::size_t expected = 0) {
    expected = std::min(expected, kMostPopulated / sizeof(Token));
    while (before_.size() * kChunk < expected) grow(expected - before_.size() * kChunk);
  }
  void push(TokenList& list, Token token) {
    const std::uint32_t at = list.count++ % kTail;
    list.tail[at] = token;
    if (at == kTail - 1) store_tail(list, token);
  }
  // Copies out the tokens from `from` on. Requires that there are as many.
  void copy(const TokenList& list, std::uint32_t from, std::span<Token> into) const {
    const auto to = from + static_cast<std::uint32_t>(into.size());
    // The tail has what push() has just written to a chunk: a wide read there would wait for that narrow write.
    const std::uint32_t tail = list.count == 0 ? 0 : (list.count - 1) / kTail * kTail;
    for (std::uint32_t i = std::max(from, tail); i < to; ++i) into[i - from] = list.tail[i % kTail];
    std::uint32_t id = list.last;
    for (std::uint32_t end = list.count / kTail * kTail; end > from;) {  // chunks, last first
      const std::uint32_t begin = (end - 1) / kChunk * kChunk;
      const std::uint32_t first = std::max(begin, from), last = std::min({end, to, tail});
      if (first < last)
        std::copy(chunk(id) + (first - begin), chunk(id) + (last - begin), into.begin() + (first - from));
      id = before_[id];
      end = begin;
    }
  }
  std::vector<Token> all(const TokenList& list) const {
    std::vector<Token> tokens(list.count);
    copy(list, 0, tokens);
    return tokens;
  }
  void clear(TokenList& list) {
    for (std::uint32_t id = list.last; id != kNone;) {
      free_.push_back(id);
      id = before_[id];
    }
    list = {};
  }
  // Into the processor's cache: what a push touches of the store, and a copy of its newest tokens.
  void prefetch(const TokenList& list) const {
    if (list.count % kTail == kTail - 1 && list.last != kNone)
      __builtin_prefetch(chunk(list.last) + list.count % kChunk, 1);
  }
  void prefetch_newest(const TokenList& list) const {
    if (list.last == kNone) return;
    const std::uint32_t at = list.count % kChunk;
    __builtin_prefetch(chunk(list.last) + at, 1);
    __builtin_prefetch(chunk(list.last) + (at < kLine ? 0 : at - kLine));
  }
  std::size_t chunks_used() const { return before_.size() - free_.size(); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint32_t kTail = TokenList::kTail;
  static constexpr std::uint32_t kChunk = 64;  // tokens
  static constexpr std::uint32_t kLine = 64 / sizeof(Token);
  static_assert(kChunk % kTail == 0);
  static constexpr std::uint32_t kSlabBits = 13;  // chunks of a slab

  Token* chunk(std::uint32_t id) const {
    return slabs_[id >> kSlabBits].data() + std::size_t{id & ((1u << kSlabBits) - 1)} * kChunk;
  }
  // `newest` is the last of the tail, from a register: reading all four at once would wait for its write.
  [[gnu::noinline]] void store_tail(TokenList& list, Token newest) {
    const std::uint32_t at = (list.count - kTail) % kChunk;
    if (at == 0) append_chunk(list);
    Token* into = chunk(list.last) + at;
    std::memcpy(into, list.tail, sizeof(list.tail) - sizeof(newest));
    into[kTail - 1] = newest;
  }
  void append_chunk(TokenList& list) {
    if (free_.empty()) grow();
    const std::uint32_t id = free_.back();
    free_.pop_back();
    before_[id] = list.last;
    list.last = id;
  }
  void grow(std::size_t populated = 0) {
    const auto first = static_cast<std::uint32_t>(before_.size());
    slabs_.emplace_back(std::size_t{kChunk} << kSlabBits).populate(populated);
    before_.resize(first + (1u << kSlabBits));
    std::vector<std::uint32_t> added;
    for (std::uint32_t id = first + (1u << kSlabBits); id-- > first;) added.push_back(id);
    free_.insert(free_.begin(), added.begin(), added.end());  // the oldest slab is used first
  }

  std::vector<HugeArray<Token>> slabs_;
  std::vector<std::uint32_t> before_;  // by chunk: the one before it in its list
  std::vector<std::uint32_t> free_;
};

}  // namespace serveloop::requests
