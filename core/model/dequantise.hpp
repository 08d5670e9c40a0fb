// The reference from any storage type to F32: what tests, goldens and fallbacks compare with. The products
// are exact in F32 (at most 11 x 8 significant bits); of Q4_1's sum alone is a bit rounded, once. So the
// values do not depend on the compiler, on FMA or on vector width. Thread safety: pure functions.
#pragma once

#include "model/types.hpp"

namespace serveloop::model {

// `values` must be a multiple of the type's block; `data` needs no alignment. out: [values]
void dequantise(Type type, const std::byte* data, std::uint64_t values, float* out);

// out: [tensor.cols]
inline void dequantise_row(const Tensor& tensor, std::uint32_t row, float* out) {
  dequantise(tensor.type, tensor.row(row), tensor.cols, out);
}

}  // namespace serveloop::model
