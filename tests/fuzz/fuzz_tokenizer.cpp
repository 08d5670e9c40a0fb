// Any bytes are a text or an error with its place; a text's tokens are the text again, streamed too; and stop strings
// are found where a search finds them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/byte_alphabet.hpp"
#include "text/detokenizer.hpp"
#include "text/stops.hpp"

using namespace serveloop::text;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string letter(int byte) {
  const std::uint32_t code = letter_of(static_cast<std::uint8_t>(byte));
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// All bytes, and merges that meet often in any text.
std::shared_ptr<const Tokenizer> make(const char* pre) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.push_back(letter(byte));
  const std::string blank = letter(' ');
  const std::pair<std::string, std::string> merges[] = {{"a", "a"},
                                                        {"aa", "aa"},
                                                        {blank, blank},
                                                        {blank, "a"},
                                                        {"1", "1"},
                                                        {"a", "b"},
                                                        {"b", "aa"},
                                                        {letter(0xc3), letter(0xa9)},
                                                        {letter('\n'), letter('\n')},
                                                        {"'", "s"},
                                                        {blank + "a", "b"}};
  for (const auto& [left, right] : merges) {
    vocabulary.merges.push_back(left + " " + right);
    vocabulary.tokens.push_back(left + right);
  }
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::normal);
  for (const char* control : {"<e>", "<e><e", "<e", "\u00e9a"}) {
    vocabulary.tokens.emplace_back(control);
    vocabulary.types.push_back(*control == '<' ? TokenType::control : TokenType::user_defined);
  }
  vocabulary.pre = pre;
  return Tokenizer::create(vocabulary).value();
}

void check_stops(std::string_view text, std::string_view first, std::string_view second) {
  const auto set = StopSet::create({std::string(first), std::string(second)});
  if (!set) return;
  std::size_t end = std::string_view::npos, at = text.size();
  for (const std::string_view stop : {first, second}) {
    const std::size_t found = text.find(stop);
    if (found == std::string_view::npos || found + stop.size() > end) continue;
    at = found + stop.size() == end ? std::min(at, found) : found;
    end = found + stop.size();
  }
  for (const std::size_t portion : {1, 3, 1000000}) {
    StopMatcher matcher(*set);
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += portion) matcher.push(text.substr(i, portion), out);
    matcher.finish(out);
    require(out == text.substr(0, at));
    require(matcher.stop().has_value() == (end != std::string_view::npos));
  }
}

void check_tokens(const Tokenizer& tokenizer, std::string_view text, Recognise recognise) {
  const auto encoded = tokenizer.encode(text, {recognise, true});
  require(encoded.has_value() == (valid_prefix(text) == text.size()));
  if (!encoded) {
    require(encoded.error().message().find("at offset") != std::string::npos);
    return;
  }
  require(encoded->missing_bytes == 0);
  require(tokenizer.decode(encoded->tokens, false).value() == text);
  Detokenizer detokenizer(tokenizer, false);
  std::string out;
  for (const Token token : encoded->tokens) {
    detokenizer.push(token, out);
    require(valid_prefix(out) == out.size());
  }
  detokenizer.finish(out);
  require(out == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<const Tokenizer> tokenizers[] = {make("gpt-2"), make("smollm"),
                                                                make("llama-bpe"), make("qwen2")};
  if (size < 4) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 4, size - 4);
  check_tokens(*tokenizers[data[0] % 4], text, static_cast<Recognise>(data[1] % 3));
  check_stops(text, text.substr(0, data[2] % 8), text.substr(text.size() / 2, data[3] % 8));

  Utf8Stream whole, bytes;  // whatever the portions
  std::string from_whole, from_bytes;
  whole.push(text, from_whole);
  whole.finish(from_whole);
  for (const char& byte : text) bytes.push({&byte, 1}, from_bytes);
  bytes.finish(from_bytes);
  require(from_whole == from_bytes && valid_prefix(from_whole) == from_whole.size());
  return 0;
}
