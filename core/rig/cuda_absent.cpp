// In place of cuda_device.cpp and kernel_bench.cpp where nvcc was not there.
#include "rig/cuda_device.hpp"
#include "rig/kernel_bench.hpp"
#include "rig/model_file.hpp"

namespace serveloop::rig {

Result<Device> cuda_device(const config::Config&, const sl_cost&, policy::Precision&, const Progress&) {
  return fail("engine.executor", "simulated, hash, null or cpu (this program was built without CUDA)",
              "'cuda'", "install the CUDA toolkit, 13.0 or later, and build again; or use the CPU");
}

Result<KernelBench> bench_kernels(const config::Config& config, std::uint32_t,
                                  const execute::KernelProgress&) {
  if (const auto named = read_architecture(config.model); !named) return tl::unexpected(named.error());
  return fail("bench --kernels", "a GPU, and a program that was built with CUDA", "one without",
              "install the CUDA toolkit, 13.0 or later, and build again");
}

}  // namespace serveloop::rig
