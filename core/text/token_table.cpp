// Every count is checked before anything of its size is made. A probe is bounded, so that tokens chosen to
// collide cost an error, not time.
#include "text/token_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/hash.hpp"
#include "text/byte_alphabet.hpp"
#include "text/utf8.hpp"

namespace serveloop::text {
namespace {

constexpr std::size_t kMaxProbe = 512;

std::uint64_t hash_of(std::string_view bytes) {
  std::uint64_t hash = bytes.size();
  while (bytes.size() > 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash, word);
    bytes.remove_prefix(8);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return mix(hash, word);
}

bool known(TokenType type) {
  return type >= TokenType::normal && type <= TokenType::unused;  // not `byte`
}

std::string name(Token token) { return fmt::format("tokens[{}]", token); }

// By sorting: its time does not hang on hashes.
Status check_unique(const std::vector<std::string>& tokens) {
  std::vector<Token> order(tokens.size());
  std::iota(order.begin(), order.end(), Token{0});
  std::ranges::sort(order, [&tokens](Token a, Token b) {
    const int less = tokens[a].compare(tokens[b]);
    return less != 0 ? less < 0 : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i)
    if (tokens[order[i - 1]] == tokens[order[i]])
      return fail(name(order[i]), "a token that is not in the list yet",
                  fmt::format("'{}', which is {}", tokens[order[i]].substr(0, 64), name(order[i - 1])));
  return {};
}

}  // namespace

Status TokenTable::build(const Vocabulary& vocabulary) {
  const std::vector<std::string>& tokens = vocabulary.tokens;
  if (tokens.empty() || tokens.size() > kMaxTokens)
    return fail("tokens", fmt::format("1 to {} tokens", kMaxTokens), std::to_string(tokens.size()));
  if (!vocabulary.types.empty() && vocabulary.types.size() != tokens.size())
    return fail("token types", fmt::format("{}, one for each token", tokens.size()),
                std::to_string(vocabulary.types.size()));
  entries_.reserve(tokens.size());
  slots_.resize(std::bit_ceil(2 * tokens.size()));
  for (Token token = 0; token < tokens.size(); ++token) {
    const TokenType type = vocabulary.types.empty() ? TokenType::normal : vocabulary.types[token];
    if (Status status = add(token, tokens[token], type); !status) return status;
  }
  return check_unique(tokens);
}

Status TokenTable::add(Token token, const std::string& written, TokenType type) {
  if (!known(type))
    return fail("type of " + name(token), "1 (normal) to 5 (unused)",
                std::to_string(static_cast<std::int32_t>(type)),
                "byte-level BPE has no tokens of type 6 (byte)");
  if (written.empty() || written.size() > kMaxTokenBytes)
    return fail(name(token), fmt::format("1 to {} bytes", kMaxTokenBytes), std::to_string(written.size()));
  if (valid_prefix(written) != written.size()) return fail(name(token), "UTF-8");
  if (blob_.size() + written.size() > kMaxVocabularyBytes)
    return fail("tokens", fmt::format("at most {} bytes in all", kMaxVocabularyBytes), "more");

  // A normal token outside the alphabet is its own text; no piece leads to it.
  const std::optional<std::string> mapped = bytes_of(written);
  const bool normal = type == TokenType::normal && mapped;
  const std::string& bytes = normal ? *mapped : written;
  const bool indexed = normal || (type == TokenType::user_defined && mapped == written);
  std::uint32_t facts = valid_prefix(bytes) == bytes.size() ? kWhole : 0;
  if (type != TokenType::normal && type != TokenType::user_defined) facts |= kHidden;
  if (indexed) facts |= kIndexed;
  entries_.push_back({static_cast<std::uint32_t>(blob_.size()), static_cast<std::uint16_t>(bytes.size()),
                      static_cast<std::uint16_t>(facts)});
  blob_ += bytes;
  return indexed ? insert(token) : Status{};
}

Status TokenTable::insert(Token token) {
  const std::uint64_t hash = hash_of(bytes(token));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t probe = 0, at = hash >> 32; probe < kMaxProbe; ++probe, ++at) {
    Slot& slot = slots_[at & mask];
    if (slot.token != kNoToken) continue;
    slot = {static_cast<std::uint32_t>(hash), token};
    return {};
  }
  return fail(name(token), "tokens whose hashes differ", "too many that collide");
}

Token TokenTable::find(std::string_view bytes) const {
  const std::uint64_t hash = hash_of(bytes);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash >> 32;; ++at) {
    const Slot slot = slots_[at & mask];
    if (slot.token == kNoToken) return kNoToken;
    if (slot.hash == static_cast<std::uint32_t>(hash) && this->bytes(slot.token) == bytes) return slot.token;
  }
}

}  // namespace serveloop::text
