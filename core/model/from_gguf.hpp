// From a GGUF file to the model's terms: architecture, weights, vocabulary. Architectures `llama` (Mistral's
// files too), `qwen2`, `qwen3` and `gemma3`; others are refused by name. Everything stays a view of the
// file's bytes, but for the vocabulary. Thread safety: pure functions.
#pragma once

#include "model/architecture.hpp"
#include "model/gguf.hpp"
#include "model/vocabulary.hpp"
#include "model/weights.hpp"

namespace serveloop::model {

// Checked (see check()). Llama 3's RoPE scaling comes from the tensor rope_freqs.weight, as divisors.
Result<Architecture> architecture_from_gguf(const gguf::File& file);

// Every tensor of the architecture with its shape; an error names the one that is missing, misshapen, of a
// type that is not computed with, or left over.
Result<Weights> weights_from_gguf(const gguf::File& file, const Architecture& architecture);

// The keys tokenizer.*; ids are checked against `most_tokens`, the rows of the embedding.
Result<Vocabulary> vocabulary_from_gguf(const gguf::File& file, std::uint32_t most_tokens);

}  // namespace serveloop::model
