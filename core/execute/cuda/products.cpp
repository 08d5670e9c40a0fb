#include "execute/cuda/products.hpp"

#include <algorithm>
#include <filesystem>

#include "kernels/cuda/gemm_cache.hpp"

namespace serveloop::execute::cuda {

using kernels::cuda::LinearEnd;
using kernels::cuda::LinearJob;

Result<Products> Products::plan(const model::Architecture& a, std::uint32_t most_rows,
                                std::uint32_t most_logit_rows, const std::string& cache_folder,
                                std::string& note) {
  Products out;
  out.gemm_ = std::make_unique<kernels::cuda::Gemm>();
  if (Status good = check(out.gemm_->open(), "products"); !good) return tl::unexpected(good.error());
  std::string path;
  if (!cache_folder.empty()) {
    path = kernels::cuda::gemm_cache_path(cache_folder, *out.gemm_);
    note = kernels::cuda::load_gemm_cache(path, *out.gemm_).problem;
  }
  const int hidden = static_cast<int>(a.hidden), q = static_cast<int>(a.q_features()),
            kv = static_cast<int>(a.kv_features()), inner = static_cast<int>(a.intermediate);
  const kernels::cuda::GemmShape shapes[] = {{q + 2 * kv, hidden, a.qkv_bias, false},
                                             {hidden, q, false, false},
                                             {2 * inner, hidden, false, false},
                                             {hidden, inner, false, false},
                                             {static_cast<int>(a.vocabulary), hidden, false, true}};
  for (const kernels::cuda::GemmShape& shape : shapes)
    if (Status good = check(out.gemm_->plan(shape, static_cast<int>(shape.f32 ? most_logit_rows : most_rows)),
                            "products");
        !good)
      return tl::unexpected(good.error());
  if (!path.empty()) {
    std::error_code ignored;  // save_gemm_cache() says what is wrong with the folder
    std::filesystem::create_directories(cache_folder, ignored);
    if (const auto saved = kernels::cuda::save_gemm_cache(path, *out.gemm_); !saved.ok())
      note = saved.problem;
  }
  if (Status good = out.workspace_.make(kernels::cuda::Gemm::workspace_bytes, "products"); !good)
    return tl::unexpected(good.error());
  return out;
}

Status Products::run(LinearJob job, cudaStream_t stream) const {
  job.x_stride = job.k;
  job.out_stride = job.end == LinearEnd::gate ? job.n / 2 : job.n;
  job.early = true;
  return check(gemm_->run(job, workspace_.get(), stream), "product");
}

Status Products::store(const __nv_bfloat16* x, const __nv_bfloat16* weight, const __nv_bfloat16* bias,
                       __nv_bfloat16* out, int rows, int n, int k, cudaStream_t stream,
                       const kernels::cuda::LinearNorm& norm) const {
  return run({.x = x, .weight = weight, .bias = bias, .out = out, .rows = rows, .n = n, .k = k, .norm = norm},
             stream);
}

Status Products::store_f32(const __nv_bfloat16* x, const __nv_bfloat16* weight, float* out, int rows, int n,
                           int k, cudaStream_t stream) const {
  return run(
      {.x = x, .weight = weight, .out = out, .rows = rows, .n = n, .k = k, .end = LinearEnd::store_f32},
      stream);
}

bool Products::has_ends(int rows, int n, int k) const {
  const kernels::cuda::GemmChoice* choice = gemm_->choice({n, k, false, false}, rows);
  return choice != nullptr && choice->own;
}

Status Products::add(const __nv_bfloat16* x, const __nv_bfloat16* weight, __nv_bfloat16* out, int rows, int n,
                     int k, cudaStream_t stream) const {
  return run({.x = x, .weight = weight, .out = out, .rows = rows, .n = n, .k = k, .end = LinearEnd::add},
             stream);
}

Status Products::gate(kernels::cuda::Gate gate, const __nv_bfloat16* x, const __nv_bfloat16* weight,
                      __nv_bfloat16* out, int rows, int n, int k, cudaStream_t stream,
                      const kernels::cuda::LinearNorm& norm) const {
  return run({.x = x,
              .weight = weight,
              .out = out,
              .rows = rows,
              .n = n,
              .k = k,
              .end = LinearEnd::gate,
              .gate = gate,
              .norm = norm},
             stream);
}

bool Products::takes_norm(int rows, int n, int k, bool biased, bool gated) const {
  const kernels::cuda::GemmChoice* choice = gemm_->choice({n, k, biased, false}, rows);
  if (choice == nullptr || !choice->own) return false;
  return kernels::cuda::takes_norm(
      {.rows = rows, .n = n, .k = k, .end = gated ? LinearEnd::gate : LinearEnd::store});
}

}  // namespace serveloop::execute::cuda
