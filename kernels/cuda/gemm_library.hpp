// cuBLASLt as Gemm uses it: one product, its suggestions, and what tells algorithms apart. Thread safety: a handle
// may be used by any thread.
#pragma once

#include <cublasLt.h>

#include <vector>

#include "gemm.hpp"

namespace serveloop::kernels::cuda {

// The runtime has no word for cuBLASLt's errors; the text has.
inline Status library_status(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  return {what, status == CUBLAS_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown};
}

// nvcc 13.0 stops on a std::vector of the unnamed struct behind cublasLtMatmulAlgo_t.
struct GemmAlgorithm {
  cublasLtMatmulAlgo_t algo;
};

// Descriptions of one product, held by value: making them asks nothing of the heap or the device.
class GemmProduct {  // methods are not const because the library takes no const
 public:
  explicit GemmProduct(const LinearJob& job);

  // At most 16, best first, of any kind.
  std::vector<GemmAlgorithm> suggest(cublasLtHandle_t handle);
  Status run(cublasLtHandle_t handle, const GemmAlgorithm& by, const LinearJob& job, void* workspace,
             cudaStream_t stream);

 private:
  cublasLtMatmulDescOpaque_t operation_;
  cublasLtMatrixLayoutOpaque_t weight_, x_, out_;
  bool good_ = false;
};

// Whether the sum over k is cut, so that its order is another.
bool splits_k(const GemmAlgorithm& algorithm);

}  // namespace serveloop::kernels::cuda
