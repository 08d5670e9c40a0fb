// Gated activations (Shazeer, GLU variants, 2020) and the embedding look-up. Element by element, so a row depends
// on nothing but itself. Thread safety: stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "status.hpp"

namespace serveloop::kernels::cuda {

enum class Gate {
  swish,      // x / (1 + e^-x): SwiGLU
  gelu_tanh,  // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): GeGLU as Gemma has it
};

// out[r, i] = act(gate_up[r, i]) gate_up[r, intermediate + i], in F32, rounded once.
// gate_up: [rows, 2 intermediate]; out: [rows, intermediate]. A multiple of 8 with 16-byte aligned pointers is fast.
Status gated_activation(Gate gate, const __nv_bfloat16* gate_up, __nv_bfloat16* out, int rows,
                        int intermediate, cudaStream_t stream);

// out[r] = table[id[r]] * scale, rounded once; zeros where the id is not in [0, vocabulary).
// It opens a step: no successor starts before all before it has ended, which attention relies on where it reads early.
// table: [vocabulary, hidden]; id: [rows]; out: [rows, hidden]; scale: 1, or sqrt(hidden) for Gemma.
Status gather_embedding(const __nv_bfloat16* table, const std::int32_t* id, __nv_bfloat16* out, int rows,
                        int vocabulary, int hidden, float scale, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
