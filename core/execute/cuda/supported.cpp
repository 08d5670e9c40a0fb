#include "execute/cuda/supported.hpp"

#include <fmt/format.h>

#include "execute/cuda/device.hpp"

namespace serveloop::execute::cuda {

namespace {

constexpr std::uint32_t kMostVocabulary = 340000;  // of sampling
constexpr std::uint32_t kMostHidden = 32768;       // of norms

Status at_most(const char* name, std::uint32_t value, std::uint32_t most) {
  if (value <= most) return {};
  return fail(name, fmt::format("at most {} (on CUDA)", most), std::to_string(value));
}

}  // namespace

// The kernels are compiled for Hopper alone.
Result<std::string> find_device() {
  constexpr const char* kWhat = "engine.executor = \"cuda\"";
  constexpr const char* kExpected = "a Hopper GPU (compute capability 9.0)";
  int devices = 0, current = 0;
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {
    cudaGetLastError();
    return fail(kWhat, kExpected, error == cudaSuccess ? "no GPU" : cudaGetErrorString(error),
                "see nvidia-smi, or use the CPU");
  }
  if (Status good = check(cudaGetDevice(&current), kWhat); !good) return tl::unexpected(good.error());
  if (Status good = check(cudaGetDeviceProperties(&properties, current), kWhat); !good)
    return tl::unexpected(good.error());
  if (properties.major == 9 && properties.minor == 0) return std::string(properties.name);
  return fail(kWhat, kExpected, fmt::format("{}, {}.{}", properties.name, properties.major, properties.minor),
              "choose another by CUDA_VISIBLE_DEVICES, or use the CPU");
}

Status check_architecture(const model::Architecture& a) {
  if (a.head_dim != 64 && a.head_dim != 128 && a.head_dim != 256)
    return fail("head size", "64, 128 or 256 (on CUDA)", std::to_string(a.head_dim), "run it on the CPU");
  for (const auto& [name, value] :
       {std::pair{"hidden size", a.hidden}, {"intermediate size", a.intermediate}})
    if (value % 8 != 0)
      return fail(name, "a multiple of 8 (on CUDA)", std::to_string(value), "run it on the CPU");
  if (Status good = at_most("hidden size", a.hidden, kMostHidden); !good) return good;
  if (Status good = at_most("vocabulary", a.vocabulary, kMostVocabulary); !good) return good;
  if (a.logit_soft_cap > 0)
    return fail("logit soft cap", "none (on CUDA)", fmt::format("{}", a.logit_soft_cap), "run it on the CPU");
  return {};
}

}  // namespace serveloop::execute::cuda
