// The search behind Gemm::plan(). Not thread safe: one search at a time.
#pragma once

#include "gemm_library.hpp"

namespace serveloop::kernels::cuda {

// Random operands of one shape and everything that comparing and timing need.
class GemmSearch {
 public:
  GemmSearch() = default;
  ~GemmSearch();
  GemmSearch(const GemmSearch&) = delete;
  GemmSearch& operator=(const GemmSearch&) = delete;

  Status prepare(cublasLtHandle_t handle, const GemmShape& shape, int max_rows);

  // Of linear() and the heuristic's suggestions for `rows`, the fastest with linear()'s bits at `rows` and at
  // `least` rows.
  Status choose(int least, int rows, GemmChoice& choice, GemmAlgorithm& algorithm);
  // Whether this algorithm runs at both and has those bits.
  Status is_equal(int least, int rows, const GemmAlgorithm& algorithm, bool& equal);

 private:
  LinearJob job_of(int rows) const;
  Status compare(const GemmAlgorithm& algorithm, int rows, bool& equal);
  Status time(const GemmAlgorithm* algorithm, int rows, int repeats, double& us);

  cublasLtHandle_t handle_ = nullptr;
  GemmShape shape_;
  int copies_ = 1;  // of the weights, so that a call finds none of its own in the L2 cache
  cudaStream_t stream_ = nullptr;
  cudaEvent_t from_ = nullptr, to_ = nullptr;
  __nv_bfloat16 *x_ = nullptr, *weight_ = nullptr, *bias_ = nullptr;
  void *out_ = nullptr, *expected_ = nullptr, *workspace_ = nullptr;
  int* differ_ = nullptr;
};

}  // namespace serveloop::kernels::cuda
