// A byte-level BPE vocabulary as a weight file states it: plain data, unchecked. Tokenizer::create() checks
// it.
//
// A normal token is written in the byte alphabet (byte_alphabet.hpp: GPT-2's printable stand-ins for bytes);
// a token of another type is its own text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serveloop::text {

using Token = std::uint32_t;

// As GGUF numbers them (tokenizer.ggml.token_type). Anything else, or `byte`, is refused: that one belongs to
// SentencePiece.
enum class TokenType : std::int32_t {
  normal = 1,
  unknown = 2,
  control = 3,       // no text of the model's: <|im_end|>
  user_defined = 4,  // text that never goes through merges: <tool_call>, runs of blanks
  unused = 5,
  byte = 6,
};

struct Vocabulary {
  std::vector<std::string> tokens;  // [tokens]: id -> token
  std::vector<TokenType> types;     // [tokens], or empty: all normal
  std::vector<std::string> merges;  // "left right" in the byte alphabet; the first is applied first
  std::string pre;                  // name of the pre-tokenizer: "gpt-2", "llama-bpe", "qwen2", "smollm"
  std::optional<Token> bos, eos;    // begin and end of a sequence
  bool add_bos = false, add_eos = false;  // a plain text is enclosed in them
};

// Bounds of what create() takes.
inline constexpr std::size_t kMaxTokens = std::size_t{1} << 22;
inline constexpr std::size_t kMaxMerges = std::size_t{1} << 22;
inline constexpr std::size_t kMaxTokenBytes = 4096;
inline constexpr std::size_t kMaxRecognisedBytes = 256;  // of a token of another type than normal or unused
inline constexpr std::size_t kMaxVocabularyBytes = std::size_t{256} << 20;  // of all tokens together

}  // namespace serveloop::text
