// What a weight file says of its tokenizer, as plain data; whoever tokenizes builds from it. Thread safety:
// plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serveloop::model {

inline constexpr std::uint64_t kMostMerges = std::uint64_t{1} << 22;

// Of a token, as GGUF numbers it.
enum class TokenType : std::uint8_t { undefined, normal, unknown, control, user_defined, unused, byte };

struct Vocabulary {
  std::string model;  // "gpt2": byte-level BPE; "llama": SentencePiece; others
  std::string pre;    // name of the pre-tokenizer, such as "llama-bpe"; may be empty
  std::vector<std::string> tokens;
  std::vector<TokenType> types;     // one a token, or empty
  std::vector<float> scores;        // one a token, or empty
  std::vector<std::string> merges;  // "left right", best first; kMostMerges at most, may be empty
  std::optional<std::uint32_t> bos, eos, eot, eom, unknown, padding;  // ids below tokens.size()
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;  // Jinja; may be empty
};

}  // namespace serveloop::model
