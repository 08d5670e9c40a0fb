// The model's products: which of them may end in an addition or a gate, and by what each is computed. All choices give
// equal bits (kernels/cuda/gemm.hpp), so a row does not see how many others there are. Thread safety: run() as the
// kernels': one stream at a time.
#pragma once

#include <memory>
#include <string>

#include "execute/cuda/device.hpp"
#include "kernels/cuda/gemm.hpp"
#include "model/architecture.hpp"

namespace serveloop::execute::cuda {

class Products {
 public:
  // Searches for choices, or takes those of an earlier run from a file in `cache_folder` and saves new ones to it; empty:
  // no file. A file that is damaged or cannot be written costs time, nothing else: `note` says so. Waits for the device.
  static Result<Products> plan(const model::Architecture& architecture, std::uint32_t most_rows,
                               std::uint32_t most_logit_rows, const std::string& cache_folder,
                               std::string& note);

  // out = x weight^T (+ bias); x: [rows, k] and out: [rows, n] without gaps.
  // norm: where takes_norm().
  Status store(const __nv_bfloat16* x, const __nv_bfloat16* weight, const __nv_bfloat16* bias,
               __nv_bfloat16* out, int rows, int n, int k, cudaStream_t stream,
               const kernels::cuda::LinearNorm& norm = {}) const;
  Status store_f32(const __nv_bfloat16* x, const __nv_bfloat16* weight, float* out, int rows, int n, int k,
                   cudaStream_t stream) const;

  // Whether add() and gate() are there for so many rows; else store(), and the addition or the gate behind it.
  bool has_ends(int rows, int n, int k) const;
  // out += x weight^T
  Status add(const __nv_bfloat16* x, const __nv_bfloat16* weight, __nv_bfloat16* out, int rows, int n, int k,
             cudaStream_t stream) const;
  // out = gate(first half) times second half; n: both halves; out: [rows, n / 2]
  Status gate(kernels::cuda::Gate gate, const __nv_bfloat16* x, const __nv_bfloat16* weight,
              __nv_bfloat16* out, int rows, int n, int k, cudaStream_t stream,
              const kernels::cuda::LinearNorm& norm = {}) const;

  // Whether store(), or gate(), normalises x on its way, with the bits of rms_norm() before it.
  bool takes_norm(int rows, int n, int k, bool biased, bool gated) const;

 private:
  Status run(kernels::cuda::LinearJob job, cudaStream_t stream) const;

  std::unique_ptr<kernels::cuda::Gemm> gemm_;
  DeviceMemory<std::byte> workspace_;
};

}  // namespace serveloop::execute::cuda
