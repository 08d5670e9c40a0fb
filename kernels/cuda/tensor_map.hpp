// Descriptions of BF16 tensors for the bulk tensor copy, made on the host without a device call. Thread safety:
// stateless.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "status.hpp"

namespace serveloop::kernels::cuda {

// Dimensions from the one whose elements are neighbours outward. Boxes land as rows of `box[0]` = 64 elements
// (128 bytes), 16-byte chunk c of row r at chunk c xor r % 8.
struct TensorShape {
  int rank = 2;                          // 2 to 4
  std::uint64_t size[4] = {};            // elements
  std::uint64_t stride[4] = {};          // elements; [0] is 1; the others times 2 bytes are multiples of 16
  std::uint32_t box[4] = {64, 1, 1, 1};  // elements, at most 256 each
};

// data: 16-byte aligned device memory.
Status make_tensor_map(const void* data, const TensorShape& shape, CUtensorMap& map);

}  // namespace serveloop::kernels::cuda
