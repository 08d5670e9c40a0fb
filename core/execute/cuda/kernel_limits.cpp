#include "execute/cuda/kernel_limits.hpp"

#include <algorithm>

#include "execute/cuda/kernel_timer.hpp"
#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/limits.hpp"

namespace serveloop::execute::cuda {

namespace {

namespace device = kernels::cuda;

constexpr int kLaunches = 4;
constexpr int kProductSize = 8192;

// The most bytes a second of launches that move `bytes`, by the best of a few numbers of blocks.
template <class Launch>
Result<double> best_bytes_per_s(std::size_t bytes, const char* what, Launch launch) {
  double best = 0;
  for (const int blocks : {132, 264, 528, 1056, 4224}) {
    const Result<double> us =
        time_us([&](cudaStream_t stream, int) { return check(launch(blocks, stream), what); }, kLaunches);
    if (!us) return us;
    best = std::max(best, 1e6 * static_cast<double>(bytes) / *us);
  }
  return best;
}

Result<double> read_bytes_per_s(const DeviceMemory<__nv_bfloat16>& data) {
  constexpr const char* kWhat = "a read of memory";
  constexpr std::size_t kBytes = 2 * kLimitElements;
  DeviceMemory<uint4> sink;
  if (Status good = sink.make(1, kWhat); !good) return tl::unexpected(good.error());
  return best_bytes_per_s(kBytes, kWhat, [&](int blocks, cudaStream_t stream) {
    return device::read_memory(data.get(), kBytes, blocks, sink.get(), stream);
  });
}

// Of the first half to the second.
Result<double> copy_bytes_per_s(DeviceMemory<__nv_bfloat16>& data) {
  constexpr std::size_t kBytes = kLimitElements;
  return best_bytes_per_s(2 * kBytes, "a copy of memory", [&](int blocks, cudaStream_t stream) {
    return device::copy_memory(data.get(), data.get() + kLimitElements / 2, kBytes, blocks, stream);
  });
}

Result<double> product_flops_per_s(const DeviceMemory<__nv_bfloat16>& data) {
  constexpr const char* kWhat = "a large product";
  constexpr std::size_t kElements = std::size_t{kProductSize} * kProductSize;
  device::Gemm gemm;
  DeviceMemory<std::byte> workspace;
  DeviceMemory<__nv_bfloat16> out;
  if (Status good = check(gemm.open(), kWhat); !good) return tl::unexpected(good.error());
  if (Status good = check(gemm.plan({kProductSize, kProductSize}, kProductSize), kWhat); !good)
    return tl::unexpected(good.error());
  if (Status good = workspace.make(device::Gemm::workspace_bytes, kWhat); !good)
    return tl::unexpected(good.error());
  if (Status good = out.make(kElements, kWhat); !good) return tl::unexpected(good.error());
  const device::LinearJob job{.x = data.get(),
                              .weight = data.get() + kElements,
                              .out = out.get(),
                              .x_stride = kProductSize,
                              .out_stride = kProductSize,
                              .rows = kProductSize,
                              .n = kProductSize,
                              .k = kProductSize};
  const Result<double> us =
      time_us([&](cudaStream_t stream, int) { return check(gemm.run(job, workspace.get(), stream), kWhat); },
              kLaunches);
  if (!us) return us;
  return 1e6 * 2 * static_cast<double>(kElements) * kProductSize / *us;
}

}  // namespace

Result<KernelLimits> measure_limits(DeviceMemory<__nv_bfloat16>& data) {
  const Result<double> read = read_bytes_per_s(data);
  if (!read) return tl::unexpected(read.error());
  const Result<double> copy = copy_bytes_per_s(data);
  if (!copy) return tl::unexpected(copy.error());
  const Result<double> product = product_flops_per_s(data);
  if (!product) return tl::unexpected(product.error());
  return KernelLimits{*read, *copy, *product};
}

}  // namespace serveloop::execute::cuda
