#include "vocabularies.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "text/byte_alphabet.hpp"

namespace serveloop::text::test {

GoldenFile::GoldenFile(const std::string& name) {
  std::ifstream file(GOLDEN_FOLDER "/" + name, std::ios::binary);
  bytes_.assign(std::istreambuf_iterator<char>(file), {});
  if (bytes_.empty()) throw std::runtime_error("cannot read " GOLDEN_FOLDER "/" + name);
}

std::uint64_t GoldenFile::number() {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(bytes_.at(at_++));
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
}

std::string GoldenFile::string() {
  const std::size_t size = number();
  if (size > bytes_.size() - at_) throw std::out_of_range("golden file");
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

std::vector<Token> GoldenFile::tokens() {
  std::vector<Token> tokens(number());
  for (Token& token : tokens) token = static_cast<Token>(number());
  return tokens;
}

Vocabulary smollm2(std::string pre) {
  GoldenFile file("smollm2.vocabulary");
  Vocabulary vocabulary;
  for (std::uint64_t left = file.number(); left != 0; --left)
    add(vocabulary, file.string(), TokenType::control);
  for (const char byte : file.string()) vocabulary.tokens.push_back(letters({&byte, 1}));
  for (std::uint64_t left = file.number(); left != 0; --left) {
    const std::string first = vocabulary.tokens.at(file.number()),
                      second = vocabulary.tokens.at(file.number());
    vocabulary.merges.push_back(first + " " + second);
    vocabulary.tokens.push_back(first + second);
  }
  if (!file.at_end()) throw std::runtime_error("smollm2.vocabulary has more bytes than it should");
  vocabulary.types.resize(vocabulary.tokens.size(), TokenType::normal);
  vocabulary.pre = std::move(pre);
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  return vocabulary;
}

const Tokenizer& smollm2_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer = make(smollm2());
  return *tokenizer;
}

std::string utf8(std::uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  std::string text;
  int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr int kLead[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(kLead[more] | code >> 6 * more);
  while (more-- > 0) text += static_cast<char>(0x80 | (code >> 6 * more & 0x3f));
  return text;
}

std::string letters(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += utf8(letter_of(static_cast<std::uint8_t>(byte)));
  return text;
}

Vocabulary small(const std::vector<std::string>& merges, std::string pre) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.tokens.push_back(utf8(letter_of(static_cast<std::uint8_t>(byte))));
  for (const std::string& merge : merges) {
    const std::size_t bar = merge.find('|', 1);
    const std::string first = letters(merge.substr(0, bar)), second = letters(merge.substr(bar + 1));
    vocabulary.merges.push_back(first + " " + second);
    vocabulary.tokens.push_back(first + second);
  }
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::normal);
  vocabulary.pre = std::move(pre);
  return vocabulary;
}

Token add(Vocabulary& vocabulary, std::string text, TokenType type) {
  vocabulary.tokens.push_back(std::move(text));
  vocabulary.types.resize(vocabulary.tokens.size() - 1, TokenType::normal);
  vocabulary.types.push_back(type);
  return static_cast<Token>(vocabulary.tokens.size() - 1);
}

std::shared_ptr<const Tokenizer> make(const Vocabulary& vocabulary) {
  Result<std::shared_ptr<const Tokenizer>> made = Tokenizer::create(vocabulary);
  if (!made) throw std::runtime_error(made.error().message());
  return *made;
}

std::vector<Token> encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  Result<Encoded> encoded = tokenizer.encode(text, options);
  if (!encoded) throw std::runtime_error(encoded.error().message());
  return encoded->tokens;
}

std::vector<std::string_view> portions(std::string_view text, std::mt19937_64& random, std::size_t longest) {
  std::vector<std::string_view> all;
  while (!text.empty()) {
    all.push_back(text.substr(0, 1 + random() % longest));
    text.remove_prefix(all.back().size());
  }
  return all;
}

}  // namespace serveloop::text::test
