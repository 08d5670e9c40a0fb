// What a model takes of memory, before any of it is taken. Thread safety: pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "model/architecture.hpp"
#include "model/weights.hpp"

namespace serveloop::model {

struct WeightBytes {
  std::array<std::uint64_t, kTypes> by_type = {};  // indexed by Type
  std::uint64_t total = 0;
};

// Of weights as they are; what a tied head shares with the embedding counts once.
WeightBytes weight_bytes(const Weights& weights, const Architecture& architecture);

// Of weights all of one type, such as random ones. Fails where rows do not fill the type's blocks; vectors
// are F32 where the type has blocks.
Result<WeightBytes> weight_bytes(const Architecture& architecture, Type type);

// Of an SL_DTYPE element in the KV cache. NATIVE, and what is no element's type, is refused.
Result<std::uint32_t> dtype_bytes(std::uint32_t dtype);

// K and V of one token in all layers, without scales. Sliding layers keep as much as others while a token is
// seen.
Result<std::uint64_t> kv_bytes_per_token(const Architecture& architecture, std::uint32_t dtype);

}  // namespace serveloop::model
