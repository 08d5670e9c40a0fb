#include "service/text.hpp"

#include <algorithm>

namespace serveloop::service {

namespace {

text::Vocabulary plain(const model::Vocabulary& from) {
  text::Vocabulary to;
  to.tokens = from.tokens;
  for (const model::TokenType type : from.types)
    to.types.push_back(static_cast<text::TokenType>(static_cast<std::int32_t>(type)));
  to.merges = from.merges;
  to.pre = from.pre;
  to.bos = from.bos;
  to.eos = from.eos;
  to.add_bos = from.add_bos.value_or(false);
  to.add_eos = false;  // a prompt's end is not the text's
  return to;
}

std::string text_of(const model::Vocabulary& vocabulary, std::optional<std::uint32_t> token) {
  return token && *token < vocabulary.tokens.size() ? vocabulary.tokens[*token] : std::string();
}

}  // namespace

Result<Text> Text::create(const model::Vocabulary& vocabulary) {
  if (!reads(vocabulary))
    return fail("the model's vocabulary", "byte-level BPE ('gpt2')", "'" + vocabulary.model + "'",
                "use a model with another tokenizer");
  Text text;
  auto tokenizer = text::Tokenizer::create(plain(vocabulary));
  if (!tokenizer) return tl::unexpected(tokenizer.error());
  text.tokenizer = std::move(*tokenizer);
  for (const std::optional<std::uint32_t>& end : {vocabulary.eos, vocabulary.eot, vocabulary.eom})
    if (end && std::find(text.end_ids.begin(), text.end_ids.end(), *end) == text.end_ids.end())
      text.end_ids.push_back(*end);
  if (!vocabulary.chat_template.empty()) {
    text::ChatTemplate::Options options;
    options.bos_token = text_of(vocabulary, vocabulary.bos);
    options.eos_token = text_of(vocabulary, vocabulary.eos);
    auto parsed = text::ChatTemplate::create(vocabulary.chat_template, std::move(options));
    if (!parsed) return tl::unexpected(parsed.error());
    text.chat_template = std::move(*parsed);
  }
  return text;
}

}  // namespace serveloop::service
