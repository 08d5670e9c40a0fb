#include "rig/kernel_bench.hpp"

#include "execute/cuda/kernel_bench.hpp"
#include "rig/model_file.hpp"
#include "rig/products_cache.hpp"

namespace serveloop::rig {

namespace {

std::vector<std::uint32_t> batch_sizes(std::uint32_t most) {
  std::vector<std::uint32_t> sizes;
  for (const std::uint32_t size : {1u, 8u, 32u, 128u})
    if (size < most) sizes.push_back(size);
  sizes.push_back(most);
  return sizes;
}

}  // namespace

Result<KernelBench> bench_kernels(const config::Config& config, std::uint32_t keys,
                                  const execute::KernelProgress& progress) {
  const Result<NamedArchitecture> named = read_architecture(config.model);
  if (!named) return tl::unexpected(named.error());
  const config::Engine& e = config.engine;
  const execute::KernelSizes sizes{batch_sizes(e.max_sequences), e.token_budget, keys, e.block_tokens};
  Result<execute::KernelReport> report =
      execute::cuda::measure_kernels(named->architecture, sizes, products_cache_folder(), progress);
  if (!report) return tl::unexpected(report.error());
  return KernelBench{named->name, std::move(*report)};
}

}  // namespace serveloop::rig
