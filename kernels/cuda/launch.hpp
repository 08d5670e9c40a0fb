// How the launchers of this folder start their kernels: each may become resident while its predecessor in the stream
// still runs (programmatic dependent launch). So every kernel calls wait_for_predecessor() in every block before it
// touches what an earlier kernel made or reads, and let_successor_start() as soon as it can. A predecessor that
// knows nothing of this (a library's kernel, a copy) is waited for as ever. At least one block of every kernel waits,
// also where it finds no work: else a kernel could end before its predecessor, and whoever waits for it would not have
// waited for all before it. Thread safety: stateless.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "status.hpp"

namespace serveloop::kernels::cuda {

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
  int cluster = 1;    // blocks of a cluster, along x
  bool early = true;  // false: only after the predecessor has ended
};

template <class... Parameters, class... Arguments>
Status launch(const char* name, void (*kernel)(Parameters...), const Launch& how,
              const Arguments&... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = how.grid;
  config.blockDim = how.block;
  config.dynamicSmemBytes = how.shared_bytes;
  config.stream = how.stream;
  cudaLaunchAttribute attributes[2] = {};
  config.attrs = attributes;
  if (how.early) {
    cudaLaunchAttribute& early = attributes[config.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  if (how.cluster > 1) {
    cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = static_cast<unsigned>(how.cluster);
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  }
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  return error == cudaSuccess ? launch_status(name) : Status{name, error};
}

}  // namespace serveloop::kernels::cuda
