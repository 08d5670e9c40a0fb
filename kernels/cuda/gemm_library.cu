// In cuBLASLt's words, column by column: out^T [n, rows] = weight^T [n, k] x^T [k, rows].
#include "gemm_library.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int most_suggestions = 16;
constexpr std::uint32_t alignment_bytes = 16;

}  // namespace

GemmProduct::GemmProduct(const LinearJob& job) {
  const cudaDataType_t out_type = job.end == LinearEnd::store_f32 ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    return cublasLtMatmulDescSetAttribute(&operation_, attribute, &value, sizeof value) ==
           CUBLAS_STATUS_SUCCESS;
  };
  const auto layout = [](cublasLtMatrixLayoutOpaque_t& to, cudaDataType_t type, int rows, int columns,
                         std::int64_t stride) {
    return cublasLtMatrixLayoutInit(&to, type, static_cast<std::uint64_t>(rows),
                                    static_cast<std::uint64_t>(columns), stride) == CUBLAS_STATUS_SUCCESS;
  };
  good_ = cublasLtMatmulDescInit(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
          set(CUBLASLT_MATMUL_DESC_TRANSA, transposed) && layout(weight_, CUDA_R_16BF, job.k, job.n, job.k) &&
          layout(x_, CUDA_R_16BF, job.k, job.rows, job.x_stride) &&
          layout(out_, out_type, job.n, job.rows, job.out_stride);
  if (!good_ || job.bias == nullptr) return;
  const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  const cudaDataType_t bias_type = CUDA_R_16BF;
  const void* bias = job.bias;
  good_ = set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) && set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias) &&
          set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias_type);
}

std::vector<GemmAlgorithm> GemmProduct::suggest(cublasLtHandle_t handle) {
  std::vector<GemmAlgorithm> suggestions;
  cublasLtMatmulPreferenceOpaque_t preference;
  if (!good_ || cublasLtMatmulPreferenceInit(&preference) != CUBLAS_STATUS_SUCCESS) return suggestions;
  const std::size_t bytes = Gemm::workspace_bytes;
  cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                       sizeof bytes);
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &alignment_bytes, sizeof alignment_bytes);
  cublasLtMatmulHeuristicResult_t results[most_suggestions];
  int found = 0;
  if (cublasLtMatmulAlgoGetHeuristic(handle, &operation_, &weight_, &x_, &out_, &out_, &preference,
                                     most_suggestions, results, &found) != CUBLAS_STATUS_SUCCESS)
    return suggestions;
  for (int i = 0; i < found; ++i)
    if (results[i].state == CUBLAS_STATUS_SUCCESS) suggestions.push_back({results[i].algo});
  return suggestions;
}

Status GemmProduct::run(cublasLtHandle_t handle, const GemmAlgorithm& by, const LinearJob& job,
                        void* workspace, cudaStream_t stream) {
  if (!good_) return {"gemm: the product, expected what cuBLASLt can describe"};
  const float one = 1.0f;
  const float zero = 0.0f;
  return library_status(
      cublasLtMatmul(handle, &operation_, &one, job.weight, &weight_, job.x, &x_, &zero, job.out, &out_,
                     job.out, &out_, &by.algo, workspace, Gemm::workspace_bytes, stream),
      "gemm: cublasLtMatmul");
}

bool splits_k(const GemmAlgorithm& algorithm) {
  std::uint32_t split = 0;
  std::uint32_t scheme = 0;
  std::size_t written = 0;
  cublasLtMatmulAlgoConfigGetAttribute(&algorithm.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                       &written);
  cublasLtMatmulAlgoConfigGetAttribute(&algorithm.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                                       sizeof scheme, &written);
  return split > 1 || scheme != CUBLASLT_REDUCTION_SCHEME_NONE;
}

}  // namespace serveloop::kernels::cuda
