// The gates of activation.hpp, for the kernels that end in one.
#pragma once

#include "activation.hpp"
#include "device.cuh"

namespace serveloop::kernels::cuda {

template <Gate gate>
__device__ __forceinline__ float activate(float x) {
  constexpr float log2_e = 1.4426950408889634f;
  if constexpr (gate == Gate::swish) {
    return __fdividef(x, 1.0f + exp2_fast(-log2_e * x));
  } else {
    // x / 2 (1 + tanh(u)) is x / (1 + e^-2u).
    const float u = 0.7978845608028654f * (x + 0.044715f * x * x * x);
    return __fdividef(x, 1.0f + exp2_fast(-2.0f * log2_e * u));
  }
}

}  // namespace serveloop::kernels::cuda
