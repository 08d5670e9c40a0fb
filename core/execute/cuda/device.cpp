#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

Status check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return {};
  if (error == cudaErrorMemoryAllocation)
    return fail(what, "memory on the device", "none left",
                "lower engine.kv_memory, engine.max_sequences or engine.token_budget");
  return fail(what, {}, cudaGetErrorString(error));
}

Status check(const kernels::cuda::Status& status, const std::string& what) {
  if (status.ok()) return {};
  const std::string where = what + ": " + status.what;
  return status.error == cudaSuccess ? Status(fail(where)) : check(status.error, where);
}

namespace detail {

Result<void*> take_device(std::size_t bytes, const std::string& what) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaSuccess) return data;
  cudaGetLastError();  // refused, not broken: later calls are not to hear of it
  return tl::unexpected(check(error, what + ", " + std::to_string(bytes) + " bytes").error());
}

Result<void*> take_pinned(std::size_t bytes, const std::string& what) {
  void* data = nullptr;
  const cudaError_t error = cudaMallocHost(&data, bytes);
  if (error == cudaSuccess) return data;
  cudaGetLastError();
  return fail(what, std::to_string(bytes) + " bytes of pinned memory", cudaGetErrorString(error));
}

void free_device(void* data) { cudaFree(data); }
void free_pinned(void* data) { cudaFreeHost(data); }

}  // namespace detail

}  // namespace serveloop::execute::cuda
