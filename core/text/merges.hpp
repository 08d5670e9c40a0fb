// The merges of a byte-level BPE vocabulary, and their use on one piece of text (Sennrich et al., 2016):
// while any two neighbours have a merge, the one of the lowest rank is made, the leftmost first.
//
// Immutable once built; the scratch belongs to a call. Private to core/text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/token_table.hpp"

namespace serveloop::text {

class Merges {
 public:
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  struct Merge {
    std::uint32_t rank = kNoRank;
    Token token = kNoToken;  // what the pair becomes
  };
  // Memory of long pieces, kept from one to the next.
  struct Scratch {
    struct Part {
      Token token;
      std::uint32_t previous, next;  // places; the first has none before it, the last none behind it
      Merge merge;                   // with the part behind it
    };
    std::vector<Part> parts;
    std::vector<std::uint64_t> heap;  // rank << 32 | place
  };

  // Checks every merge against the tokens.
  Status build(const std::vector<std::string>& merges, const TokenTable& tokens);

  // Appends the tokens of one piece. Returns the bytes that no token stands for, which are left out. Up to
  // kShort bytes by scanning, else O(n log n) with a heap.
  std::size_t apply(std::string_view piece, Scratch& scratch, std::vector<Token>& out) const;

  static constexpr std::size_t kShort = 48;

 private:
  struct Slot {
    std::uint64_t pair = UINT64_MAX;  // left << 32 | right
    Merge merge;
  };
  Merge find(Token left, Token right) const;
  Status add(std::uint32_t rank, std::string_view merge, const TokenTable& tokens);
  Status insert(std::uint64_t pair, Merge merge);
  void apply_short(Token* tokens, std::size_t count, std::vector<Token>& out) const;
  void apply_long(Scratch& scratch, std::vector<Token>& out) const;

  std::array<Token, 256> byte_tokens_{};  // kNoToken: none
  std::vector<Slot> slots_;               // open addressing, linear probing, at most half full
};

}  // namespace serveloop::text
