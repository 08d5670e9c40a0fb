// Times on the device, and the limits that a benchmark compares with.
#pragma once

#include <algorithm>
#include <functional>

#include "check.cuh"

namespace device_test {

// Microseconds of one call of `body` on the stream, from a captured graph of `calls` of them: the median of
// `repeats` replays after a warm-up. `body` gets the call's number, to rotate among inputs.
inline double time_us(const std::function<void(cudaStream_t, int)>& body, int calls, int repeats = 7) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t ready;
  cudaEvent_t from, to;
  require(cudaStreamCreate(&stream), "stream");
  require(cudaEventCreate(&from), "event");
  require(cudaEventCreate(&to), "event");
  require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
  for (int i = 0; i < calls; ++i) body(stream, i);
  require(cudaStreamEndCapture(stream, &graph), "capture");
  require(cudaGraphInstantiate(&ready, graph, 0), "graph");
  std::vector<float> times;
  for (int i = 0; i < repeats + 1; ++i) {
    require(cudaEventRecord(from, stream), "record");
    require(cudaGraphLaunch(ready, stream), "launch");
    require(cudaEventRecord(to, stream), "record");
    require(cudaEventSynchronize(to), "synchronise");
    float ms = 0.0f;
    require(cudaEventElapsedTime(&ms, from, to), "elapsed");
    if (i > 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  cudaGraphExecDestroy(ready);
  cudaGraphDestroy(graph);
  cudaEventDestroy(from);
  cudaEventDestroy(to);
  cudaStreamDestroy(stream);
  return times[times.size() / 2] * 1000.0 / calls;
}

// Reads everything, writes nothing unless a sum no data has comes out.
static __global__ void __launch_bounds__(512) read_kernel(const uint4* in, std::size_t size, uint4* out) {
  uint4 sum = {0, 0, 0, 0};
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  for (; i + 7 * stride < size; i += 8 * stride) {
    uint4 in8[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) in8[j] = __ldcs(in + i + j * stride);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum.x ^= in8[j].x, sum.y ^= in8[j].y, sum.z ^= in8[j].z, sum.w ^= in8[j].w;
  }
  for (; i < size; i += stride) sum.x ^= in[i].x, sum.y ^= in[i].y, sum.z ^= in[i].z, sum.w ^= in[i].w;
  if (sum.x == 0x12345678u && sum.y == 0x9abcdef0u && sum.z == 0x0fedcba9u) *out = sum;
}

// The best of a few launch shapes of a read of `bytes` of random data, in bytes a microsecond.
inline double read_bandwidth(std::size_t bytes) {
  const Buffer<bf16> in(bytes / 2);
  const Buffer<uint4> out(1);
  fill(in.get(), in.size(), 3);
  double best = 0.0;
  for (const int blocks : {132, 264, 528, 1056, 4224}) {
    const double us = time_us(
        [&](cudaStream_t stream, int) {
          read_kernel<<<blocks, 512, 0, stream>>>(reinterpret_cast<const uint4*>(in.get()), bytes / 16,
                                                  out.get());
        },
        4);
    best = std::max(best, bytes / us);
  }
  return best;
}

inline double copy_bandwidth(std::size_t bytes) {
  const Buffer<bf16> in(bytes / 2), out(bytes / 2);
  fill(in.get(), in.size(), 4);
  const double us =
      time_us([&](cudaStream_t stream,
                  int) { cudaMemcpyAsync(out.get(), in.get(), bytes, cudaMemcpyDeviceToDevice, stream); },
              4);
  return 2.0 * bytes / us;
}

}  // namespace device_test
