// Pre-tokenizers: how text is cut into pieces that merging never crosses. Each is a pattern, by the name that
// GGUF files give it (tokenizer.ggml.pre). Immutable, for any thread. Private to core/text.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace serveloop::text {

class PreTokenizer {
 public:
  static Result<PreTokenizer> create(std::string_view name);  // fails with the names that it knows
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // A piece that is a token is that token, even where merges would not lead to it (Llama 3).
  bool whole_tokens_first() const;

  // One walk over one text. Requires: valid UTF-8, which outlives the walk.
  class Walk {
   public:
    Walk(const PreTokenizer& pre, std::string_view text);
    ~Walk();
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;
    // The next piece, never empty; empty at the end of the text, or when matching gave up (error() is set).
    std::string_view next();
    const std::string& error() const { return error_; }
    std::size_t at() const { return at_; }  // bytes walked over

   private:
    struct Match;
    const PreTokenizer& pre_;
    std::string_view text_;
    std::size_t at_ = 0;
    std::unique_ptr<Match> match_;
    std::string error_;
  };

 private:
  struct Code;
  explicit PreTokenizer(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

}  // namespace serveloop::text
