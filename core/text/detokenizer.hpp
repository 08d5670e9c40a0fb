// One sequence's tokens to text while they come: whole characters only.
//
// Everything that comes out, put together, is what Tokenizer::decode() makes of all tokens. 16 bytes, no
// memory of its own; a plain value that one thread at a time may use. Copy it to fork a sequence.
#pragma once

#include <string>

#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

namespace serveloop::text {

class Detokenizer {
 public:
  // The tokenizer must outlive it. `skip_special` as in decode().
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // Appends to `out` the characters that the token completes; keeps what may become one. An id beyond the
  // vocabulary (weights may have more rows than there are tokens) has no text.
  void push(Token token, std::string& out) {
    if (token >= tokenizer_->size() || (skip_special_ && tokenizer_->special(token))) return;
    if (!stream_.holds() && tokenizer_->whole(token))
      out.append(tokenizer_->bytes(token));
    else
      stream_.push(tokenizer_->bytes(token), out);
  }
  // The sequence is over: half a character becomes U+FFFD.
  void finish(std::string& out) { stream_.finish(out); }
  bool holds() const { return stream_.holds(); }  // half a character

 private:
  const Tokenizer* tokenizer_;
  Utf8Stream stream_;
  bool skip_special_;
};

}  // namespace serveloop::text
