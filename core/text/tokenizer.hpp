// Text to tokens and back, for byte-level BPE vocabularies (Sennrich et al., 2016; Radford et al., 2019) as
// weight files carry them.
//
// A Tokenizer is immutable: one serves all sequences and threads, without locks. What a sequence needs for
// streaming is a Detokenizer (detokenizer.hpp), 16 bytes. No normalisation: text is taken as it stands (Qwen's
// own tokenizer would bring it to NFC first).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/merges.hpp"
#include "text/pieces.hpp"
#include "text/token_table.hpp"
#include "text/trie.hpp"
#include "text/vocabulary.hpp"

namespace serveloop::text {

inline constexpr std::size_t kMaxTextBytes = std::size_t{16} << 20;  // of one text to encode

// Which tokens are recognised where their own text stands in the input. Text from outside must not choose
// `all`: it could then end its own turn.
enum class Recognise : std::uint8_t {
  none,          // all is text
  user_defined,  // those that are pieces of text
  all,           // those and control tokens: for text that a chat template made
};

struct EncodeOptions {
  Recognise recognise = Recognise::user_defined;
  bool enclose = true;  // add begin and end of the sequence where the vocabulary asks for it
};

struct Encoded {
  std::vector<Token> tokens;
  // Input bytes that the vocabulary has no token for. They are left out, as by the tokenizers that models are
  // trained with; the text before and behind them is neighbouring text then.
  std::size_t missing_bytes = 0;
};

class Tokenizer {
 public:
  // Checks the whole vocabulary; what a merge, a type or an id has wrong is said by its index.
  static Result<std::shared_ptr<const Tokenizer>> create(const Vocabulary& vocabulary);

  // Fails on invalid UTF-8, with the offset of its first byte, and on more than kMaxTextBytes. Time grows with
  // the text alone, but for a piece of n bytes that no blank or digit cuts: O(n log n).
  Result<Encoded> encode(std::string_view text, EncodeOptions options = {}) const;

  // The text of tokens; bytes that are no character come out as U+FFFD. Without `skip_special` control,
  // unknown and unused tokens show as they are written. Fails on an id beyond the vocabulary.
  Result<std::string> decode(std::span<const Token> tokens, bool skip_special = true) const;

  std::size_t size() const { return table_.size(); }  // ids are below it
  // Requires token < size().
  std::string_view bytes(Token token) const { return table_.bytes(token); }  // need not be whole characters
  bool special(Token token) const { return table_.is(token, TokenTable::kHidden); }
  bool whole(Token token) const { return table_.is(token, TokenTable::kWhole); }  // bytes() is valid UTF-8

  // The token that is recognised as this very text: a control, unknown or user-defined one.
  std::optional<Token> recognised(std::string_view text) const;
  std::optional<Token> bos() const { return bos_; }
  std::optional<Token> eos() const { return eos_; }

 private:
  explicit Tokenizer(PreTokenizer pre) : pre_(std::move(pre)) {}
  struct Call;  // of encode()
  Status build(const Vocabulary& vocabulary);
  Status build_recognised(const Vocabulary& vocabulary);
  void mark_direct(const Vocabulary& vocabulary);
  // The longest token recognised at `at`, and where its text ends; kNoToken if there is none.
  Token recognise_at(std::string_view text, std::size_t at, Recognise recognise, std::size_t& end) const;
  Status encode_plain(std::string_view text, Call& call) const;

  PreTokenizer pre_;
  TokenTable table_;
  Merges merges_;
  Trie trie_;                      // of the texts of recognised_
  std::vector<Token> recognised_;  // [keys of trie_]
  std::optional<Token> bos_, eos_;
  bool add_bos_ = false, add_eos_ = false;
};

}  // namespace serveloop::text
