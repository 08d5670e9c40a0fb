// One thread, eight elements. Grid: x over rows, y over a row's vectors.
#include "activate.cuh"
#include "hopper.cuh"
#include "launch.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int threads = 128;

dim3 grid_of(int rows, int size) {
  return dim3(static_cast<unsigned>(rows), static_cast<unsigned>((size + threads * 8 - 1) / (threads * 8)));
}

bool is_aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

template <Gate gate>
__global__ void __launch_bounds__(threads)
    gate_kernel(const bf16* gate_up, bf16* out, int size, bool aligned) {
  let_successor_start();
  wait_for_predecessor();
  const std::int64_t row = blockIdx.x;
  const int at = 8 * (blockIdx.y * threads + threadIdx.x);
  if (at >= size) return;
  float x[8];
  float up[8];
  load_8(gate_up + row * 2 * size, at, size, aligned, x);
  load_8(gate_up + row * 2 * size + size, at, size, aligned, up);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = activate<gate>(x[i]) * up[i];
  store_8(out + row * size, at, size, aligned, x);
}

__global__ void __launch_bounds__(threads)
    gather_kernel(const bf16* table, const std::int32_t* id, bf16* out, int vocabulary, int hidden,
                  float scale, bool aligned) {
  wait_for_predecessor();
  let_successor_start();  // not before: attention relies on it where it reads early
  const std::int64_t row = blockIdx.x;
  const int at = 8 * (blockIdx.y * threads + threadIdx.x);
  if (at >= hidden) return;
  const int token = id[row];
  float x[8] = {};
  if (token >= 0 && token < vocabulary) {
    load_8(table + static_cast<std::int64_t>(token) * hidden, at, hidden, aligned, x);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] *= scale;
  store_8(out + row * hidden, at, hidden, aligned, x);
}

}  // namespace

Status gated_activation(Gate gate, const __nv_bfloat16* gate_up, __nv_bfloat16* out, int rows,
                        int intermediate, cudaStream_t stream) {
  if (rows < 0) return {"gated_activation: rows, expected 0 or more"};
  if (intermediate < 1) return {"gated_activation: intermediate, expected 1 or more"};
  if (rows == 0) return {};
  const bool aligned = intermediate % 8 == 0 && is_aligned(gate_up) && is_aligned(out);
  return launch("gated_activation",
                gate == Gate::swish ? gate_kernel<Gate::swish> : gate_kernel<Gate::gelu_tanh>,
                {grid_of(rows, intermediate), dim3(threads), 0, stream}, gate_up, out, intermediate, aligned);
}

Status gather_embedding(const __nv_bfloat16* table, const std::int32_t* id, __nv_bfloat16* out, int rows,
                        int vocabulary, int hidden, float scale, cudaStream_t stream) {
  if (rows < 0) return {"gather_embedding: rows, expected 0 or more"};
  if (hidden < 1 || vocabulary < 1) return {"gather_embedding: table, expected at least one element"};
  if (rows == 0) return {};
  const bool aligned = hidden % 8 == 0 && is_aligned(table) && is_aligned(out);
  return launch("gather_embedding", gather_kernel, {grid_of(rows, hidden), dim3(threads), 0, stream}, table,
                id, out, vocabulary, hidden, scale, aligned);
}

}  // namespace serveloop::kernels::cuda
