// A prompt's tokens, in whichever way its request states them. Thread-safe: a pure function.
#pragma once

#include "requests/spec.hpp"

namespace serveloop::requests {

// `vocabulary`: as in seeded_token().
inline std::vector<Token> whole_prompt(const RequestSpec& spec, std::uint32_t vocabulary) {
  if (spec.pieces.empty()) return spec.prompt;
  std::vector<Token> prompt;
  prompt.reserve(spec.prompt_tokens());
  for (const PromptPiece& piece : spec.pieces)
    for (std::uint32_t i = 0; i < piece.tokens; ++i)
      prompt.push_back(seeded_token(piece.seed, i, vocabulary));
  return prompt;
}

}  // namespace serveloop::requests
