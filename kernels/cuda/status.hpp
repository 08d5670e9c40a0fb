// What a launcher of this folder hands back. Thread safety: plain values.
#pragma once

#include <cuda_runtime_api.h>

namespace serveloop::kernels::cuda {

struct [[nodiscard]] Status {
  const char* what =
      nullptr;  // static text: the argument and what was expected, or the failing call; null: ok
  cudaError_t error = cudaSuccess;  // the runtime's own word, where it was the runtime that refused

  bool ok() const { return what == nullptr; }
};

// The status of the launch just made. An error inside the kernel shows at a later call, as CUDA has it.
inline Status launch_status(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? Status{} : Status{kernel, error};
}

}  // namespace serveloop::kernels::cuda
