// The tokens' bytes, side by side, and the way back from bytes to a token. Immutable once built. Private to
// core/text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/vocabulary.hpp"

namespace serveloop::text {

inline constexpr Token kNoToken = UINT32_MAX;

class TokenTable {
 public:
  // Facts of a token, as bits.
  static constexpr std::uint32_t kHidden = 1;   // has no text of the model's: control, unknown, unused
  static constexpr std::uint32_t kWhole = 2;    // its bytes are whole UTF-8 characters
  static constexpr std::uint32_t kDirect = 4;   // a piece of these bytes is this token, without merging
  static constexpr std::uint32_t kIndexed = 8;  // find() leads to it

  // Checks tokens and types.
  Status build(const Vocabulary& vocabulary);

  std::size_t size() const { return entries_.size(); }
  std::string_view bytes(Token token) const {
    const Entry entry = entries_[token];
    return {blob_.data() + entry.at, entry.size};
  }
  bool is(Token token, std::uint32_t fact) const { return (entries_[token].facts & fact) != 0; }
  void mark_direct(Token token) { entries_[token].facts |= kDirect; }

  // The token that merging may make or start from whose bytes these are; kNoToken if there is none.
  Token find(std::string_view bytes) const;

 private:
  struct Entry {
    std::uint32_t at;  // in blob_
    std::uint16_t size;
    std::uint16_t facts;
  };
  struct Slot {
    std::uint32_t hash;
    Token token = kNoToken;
  };
  Status add(Token token, const std::string& written, TokenType type);
  Status insert(Token token);

  std::vector<Entry> entries_;
  std::string blob_;
  std::vector<Slot> slots_;  // open addressing, linear probing, at most half full
};

}  // namespace serveloop::text
