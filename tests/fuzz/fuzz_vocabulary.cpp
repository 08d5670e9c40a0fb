// Any lists are a vocabulary, or one line that says why not; what is made of one works on its own tokens.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/detokenizer.hpp"

using namespace serveloop::text;

namespace {

// Fields are cut at 0xfe, which is in no UTF-8: numbers first, then tokens (each led by its type), then, behind an
// empty one, merges.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  bool more() const { return !rest_.empty(); }
  std::string_view next() {
    const std::size_t end = std::min(rest_.find('\xfe'), rest_.size());
    const std::string_view field = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return field;
  }

 private:
  std::string_view rest_;
};

int number(std::string_view field, std::size_t at) {
  return at < field.size() ? static_cast<std::int8_t>(field[at]) : 0;
}

Vocabulary read(Fields fields) {
  Vocabulary vocabulary;
  const std::string_view numbers = fields.next();
  constexpr const char* kPre[] = {"gpt-2", "smollm", "llama-bpe", "qwen2", "other"};
  vocabulary.pre = kPre[static_cast<std::uint8_t>(number(numbers, 0)) % 5];
  vocabulary.add_bos = (number(numbers, 1) & 1) != 0;
  vocabulary.add_eos = (number(numbers, 1) & 2) != 0;
  if ((number(numbers, 1) & 4) != 0) vocabulary.bos = static_cast<Token>(number(numbers, 2));
  if ((number(numbers, 1) & 8) != 0) vocabulary.eos = static_cast<Token>(number(numbers, 3));
  while (fields.more()) {
    const std::string_view token = fields.next();
    if (token.empty()) break;
    vocabulary.types.push_back(token[0] >= '0' && token[0] <= '9' ? TokenType{token[0] - '0'}
                                                                  : TokenType::normal);
    vocabulary.tokens.emplace_back(token.substr(1));
  }
  while (fields.more()) vocabulary.merges.emplace_back(fields.next());
  if ((number(numbers, 1) & 16) != 0) vocabulary.types.clear();
  return vocabulary;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Vocabulary vocabulary = read(Fields({reinterpret_cast<const char*>(data), size}));
  const auto tokenizer = Tokenizer::create(vocabulary);
  if (!tokenizer) {
    const std::string message = tokenizer.error().message();
    if (message.empty() || message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  std::string text;
  std::vector<Token> tokens;
  for (Token token = 0; token < vocabulary.tokens.size(); ++token) {
    text += vocabulary.tokens[token] + " ";
    tokens.push_back(token);
  }
  for (const Recognise recognise : {Recognise::none, Recognise::user_defined, Recognise::all}) {
    const auto encoded = (*tokenizer)->encode(text, {recognise, true});
    if (!encoded) std::abort();
    const auto decoded = (*tokenizer)->decode(encoded->tokens, false);
    if (!decoded || decoded->size() > 3 * (text.size() + 2 * kMaxTokenBytes)) std::abort();
    for (const Token token : encoded->tokens)  // nobody's text becomes a control token unless asked
      if (recognise != Recognise::all && (*tokenizer)->special(token) && token != vocabulary.bos &&
          token != vocabulary.eos)
        std::abort();
  }
  if (!(*tokenizer)->decode(tokens)) std::abort();
  return 0;
}
