// Products of few rows with a weight matrix, out[m, n] = sum over k of x[m, k] weight[n, k], BF16 in and out, F32
// inside: what a decode step streams its weights through.
//
// One order of sums for every shape: each output is one chain over k, ascending, of the tensor cores' products of 16
// terms. Nothing is split along k, so a row depends on itself and the weights alone, whatever `rows`, the tile sizes
// and the number of multiprocessors. cuBLASLt's algorithms that don't split k gave the same bits wherever
// tests/device/test_linear.cu looked, so more rows may go through those.
//
// The ends round as the separate kernels do: first the product to BF16, then what follows. Thread safety: stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "activation.hpp"
#include "status.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int linear_max_rows = 256;

enum class LinearEnd {
  store,      // out = product
  store_f32,  // out is F32, not rounded
  add,        // out += product, rounded twice: as add_rms_norm() adds
  gate  // out[m, i] = act(product[m, i]) product[m, n / 2 + i], as gated_activation(); out has n / 2 columns
};

// A norm of the rows of x before the product, with rms_norm()'s bits.
struct LinearNorm {
  const __nv_bfloat16* weight = nullptr;  // [k], 16-byte aligned; null: none
  float eps = 0.0f;
  float weight_offset = 0.0f;
};

struct LinearJob {
  const __nv_bfloat16* x = nullptr;       // [rows, k], x_stride elements from row to row
  const __nv_bfloat16* weight = nullptr;  // [n, k]
  const __nv_bfloat16* bias = nullptr;    // [n] or null: added in F32 before the product is rounded
  void* out = nullptr;                    // [rows, n] (gate: n / 2), out_stride elements from row to row
  std::int64_t x_stride = 0;              // a multiple of 8
  std::int64_t out_stride = 0;
  int rows = 0;  // 0 to linear_max_rows
  int n = 0;
  int k = 0;  // a multiple of 8
  LinearEnd end = LinearEnd::store;
  Gate gate = Gate::swish;
  LinearNorm norm;  // only where takes_norm()
  // Starts while the kernel before it in the stream still runs, and reads weights meanwhile, a norm's too; x, bias and
  // out are touched only after that kernel has ended. The weights must not be what that kernel writes.
  bool early = false;
};

// x and weight 16-byte aligned, bias and out aligned to their elements.
Status linear(const LinearJob& job, cudaStream_t stream);

// Whether linear() would take a norm in: one or two rows of a small matrix, where that was faster than rms_norm() before
// it (k of 576 and 1,024 measured; up to 2,048 taken).
bool takes_norm(const LinearJob& job);

}  // namespace serveloop::kernels::cuda
