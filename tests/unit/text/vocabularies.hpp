// Vocabularies to test with: SmolLM2's, from tests/golden/text, and small ones by hand.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.hpp"

namespace serveloop::text::test {

// LEB128 numbers and strings of the golden files (make_tokenizer.py). Throws std::out_of_range behind their
// end.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& name);
  std::uint64_t number();
  std::string string();
  std::vector<Token> tokens();
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

Vocabulary smollm2(std::string pre = "smollm");
const Tokenizer& smollm2_tokenizer();

// UTF-8 of a code point.
std::string utf8(std::uint32_t code);
// Bytes in the byte alphabet.
std::string letters(std::string_view bytes);

// All 256 bytes (id = byte), then what each merge makes. Merges are pairs of plain bytes, as "t|h".
Vocabulary small(const std::vector<std::string>& merges, std::string pre = "gpt-2");
// A control or user-defined token more; its id.
Token add(Vocabulary& vocabulary, std::string text, TokenType type);

// Requires that it can be made.
std::shared_ptr<const Tokenizer> make(const Vocabulary& vocabulary);
std::vector<Token> encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {});

// Portions of a text, at random.
std::vector<std::string_view> portions(std::string_view text, std::mt19937_64& random, std::size_t longest);

}  // namespace serveloop::text::test
