// A piece whose own merges lead to one token is that token: this is settled for each token at the start, so
// that most pieces of ordinary text cost one look-up and no merging. That look-up takes the place of a cache:
// it needs no lock and cannot be filled up by anybody's text.
#include "text/tokenizer.hpp"

#include <fmt/format.h>

#include "text/detokenizer.hpp"
#include "text/utf8.hpp"

namespace serveloop::text {
namespace {

Status check_id(const char* name, std::optional<Token> token, bool needed, std::size_t tokens) {
  if (token && *token >= tokens)
    return fail(name, fmt::format("an id below {}", tokens), fmt::format("{}", *token));
  if (needed && !token) return fail(name, "an id, as texts are to be enclosed in it", "none");
  return {};
}

}  // namespace

struct Tokenizer::Call {
  Encoded out;
  Merges::Scratch scratch;
};

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(const Vocabulary& vocabulary) {
  Result<PreTokenizer> pre = PreTokenizer::create(vocabulary.pre);
  if (!pre) return tl::unexpected(std::move(pre.error()));
  const std::shared_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(*pre)));
  if (Status status = tokenizer->build(vocabulary); !status) return tl::unexpected(std::move(status.error()));
  return tokenizer;
}

Status Tokenizer::build(const Vocabulary& vocabulary) {
  if (Status status = table_.build(vocabulary); !status) return status;
  if (Status status = merges_.build(vocabulary.merges, table_); !status) return status;
  if (Status status = check_id("bos", vocabulary.bos, vocabulary.add_bos, size()); !status) return status;
  if (Status status = check_id("eos", vocabulary.eos, vocabulary.add_eos, size()); !status) return status;
  bos_ = vocabulary.bos;
  eos_ = vocabulary.eos;
  add_bos_ = vocabulary.add_bos;
  add_eos_ = vocabulary.add_eos;
  if (Status status = build_recognised(vocabulary); !status) return status;
  mark_direct(vocabulary);
  return {};
}

Status Tokenizer::build_recognised(const Vocabulary& vocabulary) {
  std::vector<std::string_view> keys;
  for (Token token = 0; token < vocabulary.types.size(); ++token) {
    const TokenType type = vocabulary.types[token];
    if (type == TokenType::normal || type == TokenType::unused) continue;
    if (vocabulary.tokens[token].size() > kMaxRecognisedBytes)
      return fail(fmt::format("tokens[{}]", token),
                  fmt::format("1 to {} bytes of a token to be recognised", kMaxRecognisedBytes),
                  std::to_string(vocabulary.tokens[token].size()));
    keys.push_back(table_.bytes(token));
    recognised_.push_back(token);
  }
  trie_ = Trie(keys);
  return {};
}

void Tokenizer::mark_direct(const Vocabulary& vocabulary) {
  Merges::Scratch scratch;
  std::vector<Token> merged;
  for (Token token = 0; token < size(); ++token) {
    if (!table_.is(token, TokenTable::kIndexed)) continue;
    const bool normal = vocabulary.types.empty() || vocabulary.types[token] == TokenType::normal;
    const bool unasked = normal && pre_.whole_tokens_first();
    merged.clear();
    if (!unasked) merges_.apply(table_.bytes(token), scratch, merged);
    if (unasked || (merged.size() == 1 && merged.front() == token)) table_.mark_direct(token);
  }
}

Result<Encoded> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kMaxTextBytes)
    return fail("text", fmt::format("at most {} bytes", kMaxTextBytes), std::to_string(text.size()));
  if (const std::size_t valid = valid_prefix(text); valid != text.size())
    return fail("text", "UTF-8",
                fmt::format("byte 0x{:02x} at offset {}", static_cast<std::uint8_t>(text[valid]), valid));
  Call call;
  call.out.tokens.reserve(text.size() / 4 + 8);
  if (options.enclose && add_bos_) call.out.tokens.push_back(*bos_);
  std::size_t begin = 0;  // of the plain text that is not encoded yet
  for (std::size_t at = 0; options.recognise != Recognise::none;) {
    at = trie_.skip(text, at);
    if (at == text.size()) break;
    std::size_t end = at;
    const Token token = recognise_at(text, at, options.recognise, end);
    if (token == kNoToken) {
      ++at;
      continue;
    }
    if (Status status = encode_plain(text.substr(begin, at - begin), call); !status)
      return tl::unexpected(std::move(status.error()));
    call.out.tokens.push_back(token);
    begin = at = end;
  }
  if (Status status = encode_plain(text.substr(begin), call); !status)
    return tl::unexpected(std::move(status.error()));
  if (options.enclose && add_eos_) call.out.tokens.push_back(*eos_);
  return std::move(call.out);
}

Token Tokenizer::recognise_at(std::string_view text, std::size_t at, Recognise recognise,
                              std::size_t& end) const {
  Token longest = kNoToken;
  std::uint32_t node = Trie::kRoot;
  for (std::size_t i = at; i < text.size(); ++i) {
    node = trie_.child(node, static_cast<std::uint8_t>(text[i]));
    if (node == Trie::kRoot) break;
    const std::uint32_t key = trie_[node].key;
    if (key == Trie::kNone || (recognise != Recognise::all && special(recognised_[key]))) continue;
    longest = recognised_[key];
    end = i + 1;
  }
  return longest;
}

Status Tokenizer::encode_plain(std::string_view text, Call& call) const {
  if (text.empty()) return {};
  PreTokenizer::Walk walk(pre_, text);
  for (std::string_view piece = walk.next(); !piece.empty(); piece = walk.next()) {
    const Token token = table_.find(piece);
    if (token != kNoToken && table_.is(token, TokenTable::kDirect))
      call.out.tokens.push_back(token);
    else
      call.out.missing_bytes += merges_.apply(piece, call.scratch, call.out.tokens);
  }
  if (!walk.error().empty())
    return fail("text", "a text that the pre-tokenizer can cut",
                fmt::format("{} behind {} bytes", walk.error(), walk.at()));
  return {};
}

Result<std::string> Tokenizer::decode(std::span<const Token> tokens, bool skip_special) const {
  std::string text;
  text.reserve(4 * tokens.size());
  Detokenizer detokenizer(*this, skip_special);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= size())
      return fail(fmt::format("tokens[{}]", i), fmt::format("an id below {}", size()),
                  fmt::format("{}", tokens[i]));
    detokenizer.push(tokens[i], text);
  }
  detokenizer.finish(text);
  return text;
}

std::optional<Token> Tokenizer::recognised(std::string_view text) const {
  std::uint32_t node = Trie::kRoot;
  for (const char byte : text) {
    node = trie_.child(node, static_cast<std::uint8_t>(byte));
    if (node == Trie::kRoot) return std::nullopt;
  }
  const std::uint32_t key = trie_[node].key;
  if (key == Trie::kNone) return std::nullopt;
  return recognised_[key];
}

}  // namespace serveloop::text
