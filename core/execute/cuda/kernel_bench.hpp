// Times the kernels of one layer, the head and sampling by themselves, at the sizes of a model and by the same choices as
// the executor's, on random data. Weights and caches take turns, so that a launch finds none of its own in the L2 cache;
// activations stay there, as in a step. Thread safety: one caller at a time; takes the current device.
#pragma once

#include "base/result.hpp"
#include "execute/kernel_times.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

// Layers with a window are measured as those that see all keys. products_cache: a folder for the choices of products;
// empty: none. Fails as CudaExecutor::create() does.
Result<KernelReport> measure_kernels(const model::Architecture& architecture, const KernelSizes& sizes,
                                     const std::string& products_cache, const KernelProgress& progress);

}  // namespace serveloop::execute::cuda
