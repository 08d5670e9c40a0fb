// The driver's encoder is looked up through the runtime, so nothing links against the driver.
#include "tensor_map.hpp"

namespace serveloop::kernels::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode find_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  return error == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(function)
                                                                      : nullptr;
}

}  // namespace

Status make_tensor_map(const void* data, const TensorShape& shape, CUtensorMap& map) {
  if (reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
    return {"make_tensor_map: data, expected a multiple of 16 bytes"};
  for (int i = 1; i < shape.rank; ++i)
    if (shape.stride[i] % 8 != 0) return {"make_tensor_map: stride, expected a multiple of 8 elements"};
  static const Encode encode = find_encoder();
  if (encode == nullptr) return {"make_tensor_map: the driver, expected cuTensorMapEncodeTiled"};
  cuuint64_t size[4], stride_bytes[3];
  cuuint32_t box[4], step[4] = {1, 1, 1, 1};
  for (int i = 0; i < shape.rank; ++i) {
    size[i] = shape.size[i];
    box[i] = shape.box[i];
    if (i > 0) stride_bytes[i - 1] = shape.stride[i] * 2;
  }
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, shape.rank, const_cast<void*>(data), size, stride_bytes,
             box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    return {"make_tensor_map: shape, expected what cuTensorMapEncodeTiled takes", cudaErrorInvalidValue};
  return {};
}

}  // namespace serveloop::kernels::cuda
