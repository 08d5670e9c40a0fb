// What the device tests share: checks that count, memory that frees itself, random data made on the device, and
// the distance between two results. Stops on a failed CUDA call: nothing after it would mean anything.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/cuda/status.hpp"

namespace device_test {

using bf16 = __nv_bfloat16;

inline int passed = 0;
inline int failed = 0;

inline void check(bool good, const std::string& what) {
  ++(good ? passed : failed);
  if (!good && failed <= 20) std::printf("FAILED  %s\n", what.c_str());
}

inline int report(const char* name) {
  std::printf("%s: %d passed, %d failed\n", name, passed, failed);
  return failed == 0 ? 0 : 1;
}

inline void require(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("STOPPED  %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

inline void require(const serveloop::kernels::cuda::Status& status) {
  if (status.ok()) return;
  std::printf("STOPPED  %s: %s\n", status.what, cudaGetErrorString(status.error));
  std::exit(1);
}

// Device memory of `size` elements.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t size = 0) : size_(size) {
    if (size > 0) require(cudaMalloc(&data_, size * sizeof(T)), "cudaMalloc");
  }
  explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) { put(from); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { cudaFree(data_); }

  T* get() const { return data_; }
  std::size_t size() const { return size_; }
  void put(const std::vector<T>& from) {
    require(cudaMemcpy(data_, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice), "copy in");
  }
  std::vector<T> take() const {
    std::vector<T> out(size_);
    require(cudaMemcpy(out.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), "copy out");
    return out;
  }
  // Every byte 0xff: NaN in BF16 and F32.
  void poison() { require(cudaMemset(data_, 0xff, size_ * sizeof(T)), "poison"); }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

__host__ __device__ inline std::uint64_t mix(std::uint64_t x) {  // SplitMix64 (Steele et al., 2014)
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Nearly normal, mean 0, deviation 1: four uniforms.
__host__ __device__ inline float random_value(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t bits = mix(seed * 0x632be59bd9b4e019ull + index);
  float sum = 0.0f;
  for (int i = 0; i < 4; ++i) sum += static_cast<float>((bits >> (16 * i)) & 0xffff) / 65536.0f - 0.5f;
  return sum * 1.7320508f;
}

static __global__ void fill_kernel(bf16* out, std::size_t size, std::uint64_t seed, float deviation) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < size;
       i += std::size_t{gridDim.x} * blockDim.x) {
    out[i] = __float2bfloat16_rn(random_value(seed, i) * deviation);
  }
}

inline void fill(bf16* out, std::size_t size, std::uint64_t seed, float deviation = 1.0f) {
  fill_kernel<<<1056, 256>>>(out, size, seed, deviation);
  require(cudaGetLastError(), "fill");
}

inline std::vector<bf16> random_vector(std::size_t size, std::uint64_t seed, float deviation = 1.0f) {
  std::vector<bf16> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = __float2bfloat16_rn(random_value(seed, i) * deviation);
  return out;
}

inline double value(bf16 x) { return static_cast<double>(__bfloat162float(x)); }

// |out - reference| / |reference|; not a number where an output is none.
inline double distance(const bf16* out, const double* reference, std::size_t size) {
  double error = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < size; ++i) {
    const double difference = value(out[i]) - reference[i];
    error += difference * difference;
    norm += reference[i] * reference[i];
  }
  return std::sqrt(error / (norm > 0.0 ? norm : 1.0));
}

inline std::uint16_t bits(bf16 x) { return static_cast<__nv_bfloat16_raw>(x).x; }

inline bool same_bits(const bf16* a, const bf16* b, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    if (bits(a[i]) != bits(b[i])) return false;
  }
  return true;
}

}  // namespace device_test
