// A model's text side: tokenizer, chat template, and the tokens that end an answer. Immutable; any thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "model/vocabulary.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

namespace serveloop::service {

struct Text {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplate> chat_template;  // none: the file carries none
  std::vector<text::Token> end_ids;                 // end of sequence, of turn, of message

  // False: such a model takes and gives token ids.
  static bool reads(const model::Vocabulary& vocabulary) { return vocabulary.model == "gpt2"; }
  static Result<Text> create(const model::Vocabulary& vocabulary);
};

}  // namespace serveloop::service
