// The functions of cuBLASLt that this folder calls, by the library's own declarations.
#include <cublasLt.h>
#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "cublaslt.hpp"

#define SERVELOOP_TEXT_OF(value) #value
#define SERVELOOP_TEXT(value) SERVELOOP_TEXT_OF(value)

namespace serveloop::kernels::cuda {
namespace {

constexpr const char* file =
    "libcublasLt.so." SERVELOOP_TEXT(CUBLAS_VER_MAJOR);  // of the toolkit that this was compiled with

void* open_library() {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  const char* home = std::getenv("CUDA_HOME");
  for (const char* folder : {home, "/usr/local/cuda"})
    if (library == nullptr && folder != nullptr)
      library = dlopen((std::string(folder) + "/lib64/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
  return library;
}

struct Library {
  void* handle = open_library();
  bool whole = handle != nullptr;  // has all that is asked for

  template <class Function>
  Function* find(const char* name) {
    void* found = handle == nullptr ? nullptr : dlsym(handle, name);
    whole = whole && found != nullptr;
    return reinterpret_cast<Function*>(found);
  }
#define SERVELOOP_FUNCTION(name) \
  decltype(::cublasLt##name)* name = find<decltype(::cublasLt##name)>("cublasLt" #name)
  SERVELOOP_FUNCTION(Create);
  SERVELOOP_FUNCTION(Destroy);
  SERVELOOP_FUNCTION(GetVersion);
  SERVELOOP_FUNCTION(Matmul);
  SERVELOOP_FUNCTION(MatmulAlgoConfigGetAttribute);
  SERVELOOP_FUNCTION(MatmulAlgoGetHeuristic);
  SERVELOOP_FUNCTION(MatmulDescInit_internal);
  SERVELOOP_FUNCTION(MatmulDescSetAttribute);
  SERVELOOP_FUNCTION(MatmulPreferenceInit_internal);
  SERVELOOP_FUNCTION(MatmulPreferenceSetAttribute);
  SERVELOOP_FUNCTION(MatrixLayoutInit_internal);
#undef SERVELOOP_FUNCTION
};

Library& library() {
  static Library opened;
  return opened;
}

template <class Function, class... Arguments>
cublasStatus_t forward(Function* Library::*function, Arguments... arguments) {
  const Library& opened = library();
  return opened.whole ? (opened.*function)(arguments...) : CUBLAS_STATUS_NOT_INITIALIZED;
}

}  // namespace

Status open_cublaslt() {
  if (library().whole) return {};
  return {"cuBLASLt: expected the library of the CUDA toolkit (libcublasLt.so." SERVELOOP_TEXT(
      CUBLAS_VER_MAJOR) ") on LD_LIBRARY_PATH, in $CUDA_HOME/lib64 or in /usr/local/cuda/lib64"};
}

}  // namespace serveloop::kernels::cuda

using serveloop::kernels::cuda::forward;
using serveloop::kernels::cuda::Library;
using serveloop::kernels::cuda::library;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return forward(&Library::Create, handle); }

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return forward(&Library::Destroy, handle); }

size_t cublasLtGetVersion() { return library().whole ? library().GetVersion() : 0; }

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  return forward(&Library::Matmul, handle, operation, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d,
                 d_layout, algorithm, workspace, workspace_bytes, stream);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* count) {
  return forward(&Library::MatmulAlgoGetHeuristic, handle, operation, a, b, c, d, preference, most, results,
                 count);
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, size_t bytes, size_t* written) {
  return forward(&Library::MatmulAlgoConfigGetAttribute, algorithm, attribute, value, bytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t operation, size_t bytes,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
  return forward(&Library::MatmulDescInit_internal, operation, bytes, compute, scale);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  return forward(&Library::MatmulDescSetAttribute, operation, attribute, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t bytes) {
  return forward(&Library::MatmulPreferenceInit_internal, preference, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return forward(&Library::MatmulPreferenceSetAttribute, preference, attribute, value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t bytes,
                                                 cudaDataType type, uint64_t rows, uint64_t columns,
                                                 int64_t stride) {
  return forward(&Library::MatrixLayoutInit_internal, layout, bytes, type, rows, columns, stride);
}

}  // extern "C"
