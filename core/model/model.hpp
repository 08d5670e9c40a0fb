// A model ready to be run: its architecture, its weights and what keeps their bytes alive. Thread safety:
// immutable once made; copies share the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "model/architecture.hpp"
#include "model/vocabulary.hpp"
#include "model/weights.hpp"

namespace serveloop::model {

struct Model {
  Architecture architecture;
  Weights weights;                       // views of `storage`
  std::optional<Vocabulary> vocabulary;  // of weight files that have one
  std::shared_ptr<const void> storage;   // the mapped file, or memory
};

// A GGUF file. Its pages are read when they are touched. Tensors lie on multiples of the file's alignment, 32
// bytes unless it says otherwise and at least 8.
Result<Model> load_gguf(const std::string& path);

// BF16 throughout, from `seed` (random_value.hpp), filled by `threads` threads; the bits do not depend on
// them. Requires a checked architecture. Fails where memory is short.
Result<Model> random_model(Architecture architecture, std::uint64_t seed, unsigned threads = 1);

}  // namespace serveloop::model
