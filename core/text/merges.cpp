// Both ways of merging choose the same pair at every turn: the lowest rank, then the leftmost place. A heap's
// entry is stale, and dropped, when its place has another rank by now or is gone.
#include "text/merges.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <utility>

#include "base/hash.hpp"
#include "text/byte_alphabet.hpp"

namespace serveloop::text {
namespace {

constexpr std::size_t kMaxProbe = 512;
constexpr std::uint32_t kEnd = UINT32_MAX;  // no part there

std::uint64_t pair_of(Token left, Token right) { return std::uint64_t{left} << 32 | right; }
std::size_t place_of(std::uint64_t pair) { return mix(pair, 0); }

std::string name(std::uint32_t rank) { return fmt::format("merges[{}]", rank); }

}  // namespace

Status Merges::build(const std::vector<std::string>& merges, const TokenTable& tokens) {
  if (merges.size() > kMaxMerges)
    return fail("merges", fmt::format("at most {}", kMaxMerges), std::to_string(merges.size()));
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    byte_tokens_[byte] = tokens.find({&text, 1});
  }
  if (std::ranges::count(byte_tokens_, kNoToken) == 256)
    return fail("tokens", "some that stand for a single byte", "none",
                "a byte-level vocabulary writes tokens in GPT-2's byte alphabet");
  slots_.resize(std::bit_ceil(2 * merges.size() + 1));
  for (std::uint32_t rank = 0; rank < merges.size(); ++rank)
    if (Status status = add(rank, merges[rank], tokens); !status) return status;
  return {};
}

Status Merges::add(std::uint32_t rank, std::string_view merge, const TokenTable& tokens) {
  const std::size_t space = merge.find(' ');
  if (merge.size() > 2 * kMaxTokenBytes + 1 || space == 0 || space == std::string_view::npos ||
      space + 1 == merge.size() || merge.find(' ', space + 1) != std::string_view::npos)
    return fail(name(rank), "two tokens with a space between them", fmt::format("'{}'", merge.substr(0, 64)));
  std::string whole;
  Token parts[2];
  const std::string_view written[2] = {merge.substr(0, space), merge.substr(space + 1)};
  for (int side = 0; side < 2; ++side) {
    const std::optional<std::string> bytes = bytes_of(written[side]);
    parts[side] = bytes ? tokens.find(*bytes) : kNoToken;
    if (parts[side] == kNoToken)
      return fail(name(rank), "tokens of the vocabulary", fmt::format("'{}'", written[side]));
    whole += *bytes;
  }
  const Token token = tokens.find(whole);
  if (token == kNoToken)
    return fail(name(rank), "a pair that makes a token of the vocabulary",
                fmt::format("'{}'", merge.substr(0, 64)));
  return insert(pair_of(parts[0], parts[1]), {rank, token});
}

Status Merges::insert(std::uint64_t pair, Merge merge) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t probe = 0, at = place_of(pair); probe < kMaxProbe; ++probe, ++at) {
    Slot& slot = slots_[at & mask];
    if (slot.pair == pair)
      return fail(name(merge.rank), "a pair that has no merge yet", "the pair of " + name(slot.merge.rank));
    if (slot.pair != UINT64_MAX) continue;
    slot = {pair, merge};
    return {};
  }
  return fail(name(merge.rank), "pairs whose hashes differ", "too many that collide");
}

Merges::Merge Merges::find(Token left, Token right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = place_of(pair);; ++at) {
    const Slot& slot = slots_[at & mask];
    if (slot.pair == pair) return slot.merge;
    if (slot.pair == UINT64_MAX) return {};
  }
}

std::size_t Merges::apply(std::string_view piece, Scratch& scratch, std::vector<Token>& out) const {
  std::size_t missing = 0;
  if (piece.size() <= kShort) {
    Token tokens[kShort];
    std::size_t count = 0;
    for (const char byte : piece) {
      tokens[count] = byte_tokens_[static_cast<std::uint8_t>(byte)];
      if (tokens[count] != kNoToken) ++count;
    }
    missing = piece.size() - count;
    apply_short(tokens, count, out);
  } else {
    scratch.parts.clear();
    for (const char byte : piece) {
      const Token token = byte_tokens_[static_cast<std::uint8_t>(byte)];
      const auto place = static_cast<std::uint32_t>(scratch.parts.size());
      if (token != kNoToken) scratch.parts.push_back({token, place - 1, place + 1, {}});
    }
    missing = piece.size() - scratch.parts.size();
    apply_long(scratch, out);
  }
  return missing;
}

void Merges::apply_short(Token* tokens, std::size_t count, std::vector<Token>& out) const {
  Merge merges[kShort];  // [i]: of tokens i and i + 1
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].rank == kNoRank) break;
    tokens[best] = merges[best].token;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      tokens[i] = tokens[i + 1];
      merges[i - 1] = merges[i];
    }
    if (best + 1 < count) merges[best] = find(tokens[best], tokens[best + 1]);
    if (best > 0) merges[best - 1] = find(tokens[best - 1], tokens[best]);
  }
  out.insert(out.end(), tokens, tokens + count);
}

void Merges::apply_long(Scratch& scratch, std::vector<Token>& out) const {
  std::vector<Scratch::Part>& parts = scratch.parts;
  std::vector<std::uint64_t>& heap = scratch.heap;
  if (parts.empty()) return;
  parts.front().previous = kEnd;
  parts.back().next = kEnd;
  heap.clear();
  for (std::uint32_t place = 0; place + 1 < parts.size(); ++place) {
    Scratch::Part& part = parts[place];
    part.merge = find(part.token, parts[place + 1].token);
    if (part.merge.rank != kNoRank) heap.push_back(std::uint64_t{part.merge.rank} << 32 | place);
  }
  std::ranges::make_heap(heap, std::greater<>{});
  const auto pair_again = [&](std::uint32_t place) {
    Scratch::Part& part = parts[place];
    part.merge = part.next == kEnd ? Merge{} : find(part.token, parts[part.next].token);
    if (part.merge.rank == kNoRank) return;
    heap.push_back(std::uint64_t{part.merge.rank} << 32 | place);
    std::ranges::push_heap(heap, std::greater<>{});
  };
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater<>{});
    const auto place = static_cast<std::uint32_t>(heap.back());
    const auto rank = static_cast<std::uint32_t>(heap.back() >> 32);
    heap.pop_back();
    Scratch::Part& part = parts[place];
    if (part.merge.rank != rank) continue;
    part.token = part.merge.token;
    Scratch::Part& gone = parts[part.next];
    gone.merge = {};
    part.next = gone.next;
    if (part.next != kEnd) parts[part.next].previous = place;
    pair_again(place);
    if (part.previous != kEnd) pair_again(part.previous);
  }
  for (std::uint32_t place = 0; place != kEnd; place = parts[place].next) out.push_back(parts[place].token);
}

}  // namespace serveloop::text
