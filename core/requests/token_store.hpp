// The tokens that sequences have generated: chunks of one store, so that adding a token never moves those before it and
// a long answer costs each step the same as a short one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "requests/spec.hpp"

namespace serveloop::requests {

// One sequence's generated tokens; the store's to read and to change. {} is an empty list.
struct TokenList {
  std::uint32_t last = UINT32_MAX;  // its last chunk
  std::uint32_t count = 0;
};

class TokenStore {
 public:
  void push(TokenList& list, Token token) {
    const std::uint32_t at = list.count++ % kChunk;
    if (at == 0) append_chunk(list);
    chunk(list.last)[at] = token;
  }
  // Copies out the tokens from `from` on. Requires that there are as many.
  void copy(const TokenList& list, std::uint32_t from, std::span<Token> into) const {
    const auto to = from + static_cast<std::uint32_t>(into.size());
    std::uint32_t id = list.last;
    for (std::uint32_t end = list.count; end > from;) {  // chunks, last first
      const std::uint32_t begin = (end - 1) / kChunk * kChunk;
      const std::uint32_t first = std::max(begin, from), last = std::min(end, to);
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
  // Where the next token goes, unless it opens a chunk: for a prefetch.
  const Token* end(const TokenList& list) const {
    return list.last == kNone ? nullptr : chunk(list.last) + list.count % kChunk;
  }
  std::size_t chunks_used() const { return before_.size() - free_.size(); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint32_t kChunk = 64;     // tokens
  static constexpr std::uint32_t kSlabBits = 10;  // chunks of a slab

  Token* chunk(std::uint32_t id) const {
    return slabs_[id >> kSlabBits].get() + std::size_t{id & ((1u << kSlabBits) - 1)} * kChunk;
  }
  void append_chunk(TokenList& list) {
    if (free_.empty()) grow();
    const std::uint32_t id = free_.back();
    free_.pop_back();
    before_[id] = list.last;
    list.last = id;
  }
  void grow() {
    const auto first = static_cast<std::uint32_t>(before_.size());
    slabs_.push_back(std::make_unique_for_overwrite<Token[]>(std::size_t{kChunk} << kSlabBits));
    before_.resize(first + (1u << kSlabBits));
    for (std::uint32_t id = first + (1u << kSlabBits); id-- > first;) free_.push_back(id);
  }

  std::vector<std::unique_ptr<Token[]>> slabs_;
  std::vector<std::uint32_t> before_;  // by chunk: the one before it in its list
  std::vector<std::uint32_t> free_;
};

}  // namespace serveloop::requests
