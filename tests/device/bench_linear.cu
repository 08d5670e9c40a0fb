// linear() against the best of cuBLASLt in the same run: time, bandwidth of the weights, and how many of cuBLASLt's
// algorithms that don't split k give the same bits. `quick`: one shape.
#include <cublasLt.h>

#include <array>
#include <cstring>

#include "kernels/cuda/linear.hpp"
#include "timing.cuh"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

constexpr std::size_t workspace_bytes = std::size_t{64} << 20;
constexpr std::size_t rotation_bytes = std::size_t{160} << 20;

struct Shape {
  const char* name;
  int n, k;
};

void need(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::printf("STOPPED  cuBLASLt: %s\n", cublasLtGetStatusString(status));
  std::exit(1);
}

__global__ void differ_kernel(const std::uint16_t* a, const std::uint16_t* b, std::size_t size, int* out) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < size;
       i += std::size_t{gridDim.x} * blockDim.x)
    if (a[i] != b[i]) *out = 1;
}

// nvcc 13.0 stops on a std::vector of the unnamed struct behind cublasLtMatmulAlgo_t.
struct Suggestion {
  cublasLtMatmulAlgo_t algo;
};

// One shape and row count in cuBLASLt.
struct Library {
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t weight, x, out;
  Buffer<char> workspace{workspace_bytes};

  Library(const Shape& s, int rows) {
    need(cublasLtCreate(&handle));
    need(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    const cublasOperation_t transposed = CUBLAS_OP_T;
    need(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                        sizeof transposed));
    need(cublasLtMatrixLayoutCreate(&weight, CUDA_R_16BF, s.k, s.n, s.k));
    need(cublasLtMatrixLayoutCreate(&x, CUDA_R_16BF, s.k, rows, s.k));
    need(cublasLtMatrixLayoutCreate(&out, CUDA_R_16BF, s.n, rows, s.n));
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    cublasLtMatrixLayoutDestroy(weight), cublasLtMatrixLayoutDestroy(x), cublasLtMatrixLayoutDestroy(out);
    cublasLtMatmulDescDestroy(operation);
    cublasLtDestroy(handle);
  }

  std::vector<Suggestion> suggest() const {
    cublasLtMatmulPreference_t preference;
    need(cublasLtMatmulPreferenceCreate(&preference));
    need(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &workspace_bytes, sizeof workspace_bytes));
    cublasLtMatmulHeuristicResult_t results[24];
    int found = 0;
    need(cublasLtMatmulAlgoGetHeuristic(handle, operation, weight, x, out, out, preference, 24, results,
                                        &found));
    cublasLtMatmulPreferenceDestroy(preference);
    std::vector<Suggestion> suggestions;
    for (int i = 0; i < found; ++i)
      if (results[i].state == CUBLAS_STATUS_SUCCESS) suggestions.push_back({results[i].algo});
    return suggestions;
  }

  void multiply(const Suggestion& by, const bf16* from, const bf16* w, bf16* to, cudaStream_t stream) const {
    const float one = 1.0f, zero = 0.0f;
    need(cublasLtMatmul(handle, operation, &one, w, weight, from, x, &zero, to, out, to, out, &by.algo,
                        workspace.get(), workspace_bytes, stream));
  }
};

bool splits(const Suggestion& s) {
  std::uint32_t split = 0;
  std::size_t written = 0;
  cublasLtMatmulAlgoConfigGetAttribute(&s.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                       &written);
  return split > 1;
}

void measure(const Shape& s, int rows, double bandwidth) {
  const std::size_t elements = static_cast<std::size_t>(s.n) * s.k;
  const int copies = static_cast<int>(std::max<std::size_t>(2, rotation_bytes / (elements * 2) + 1));
  const int calls = std::max(copies, 8);
  const Buffer<bf16> x(static_cast<std::size_t>(rows) * s.k), weight(elements * copies),
      ours(static_cast<std::size_t>(rows) * s.n), theirs(ours.size());
  fill(x.get(), x.size(), 1);
  fill(weight.get(), weight.size(), 2, 1.0f / std::sqrt(static_cast<float>(s.k)));
  LinearJob job;
  job.x = x.get();
  job.x_stride = s.k;
  job.out = ours.get();
  job.out_stride = s.n;
  job.rows = rows;
  job.n = s.n;
  job.k = s.k;
  const auto own = [&](LinearEnd end, bool early) {
    LinearJob now = job;
    now.end = end;
    now.early = early;
    if (end == LinearEnd::gate) now.out_stride = s.n / 2;
    return time_us(
        [&](cudaStream_t stream, int call) {
          now.weight = weight.get() + elements * (call % copies);
          require(linear(now, stream));
        },
        calls, 9);
  };
  const double plain = own(LinearEnd::store, false), early = own(LinearEnd::store, true),
               gated = own(LinearEnd::gate, true);
  job.weight = weight.get();
  require(linear(job, nullptr));
  const Library library(s, rows);
  double best = 1e30, first = 0.0;
  bool best_splits = false;
  int same = 0, whole = 0, same_split = 0, split = 0;
  for (const Suggestion& suggestion : library.suggest()) {
    Buffer<int> differ(std::vector<int>{0});
    require(cudaMemset(theirs.get(), 0xff, theirs.size() * 2), "poison");
    library.multiply(suggestion, x.get(), weight.get(), theirs.get(), nullptr);
    differ_kernel<<<264, 256>>>(reinterpret_cast<const std::uint16_t*>(ours.get()),
                                reinterpret_cast<const std::uint16_t*>(theirs.get()), ours.size(),
                                differ.get());
    require(cudaDeviceSynchronize(), "compare");
    const bool equal = differ.take()[0] == 0;
    ++(splits(suggestion) ? split : whole);
    (splits(suggestion) ? same_split : same) += equal;
    const double us = time_us(
        [&](cudaStream_t stream, int call) {
          library.multiply(suggestion, x.get(), weight.get() + elements * (call % copies), theirs.get(),
                           stream);
        },
        calls, 3);
    if (first == 0.0) first = us;
    if (us < best) best = us, best_splits = splits(suggestion);
  }
  const double bytes = 2.0 * elements;
  std::printf(
      "%-20s %6d x %5d, %3d rows: %8.2f us (%4.1f %%), early %8.2f (%4.1f %%), gate early %8.2f; cuBLASLt "
      "first "
      "%8.2f best %8.2f%s; early / best %.2f; same bits %d of %d, split %d of %d\n",
      s.name, s.n, s.k, rows, plain, 100.0 * bytes / plain / bandwidth, early,
      100.0 * bytes / early / bandwidth, gated, first, best, best_splits ? " (split)" : "", early / best,
      same, whole, same_split, split);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  const double bandwidth = quick ? 3.1e6 : read_bandwidth(std::size_t{2} << 30);
  std::printf("read of 2 GiB: %.3f TB/s; cuBLASLt %zu\n", bandwidth / 1e6, cublasLtGetVersion());
  const Shape shapes[] = {{"8B qkv", 6144, 4096},
                          {"8B o", 4096, 4096},
                          {"8B gate, up", 28672, 4096},
                          {"8B down", 4096, 14336},
                          {"8B vocabulary", 128256, 4096},
                          {"0.6B qkv", 4096, 1024},
                          {"0.6B o", 1024, 2048},
                          {"0.6B gate, up", 6144, 1024},
                          {"0.6B down", 1024, 3072},
                          {"0.6B vocabulary", 151936, 1024},
                          {"SmolLM2 qkv", 960, 576},
                          {"SmolLM2 o", 576, 576},
                          {"SmolLM2 gate, up", 3072, 576},
                          {"SmolLM2 down", 576, 1536},
                          {"SmolLM2 vocabulary", 49152, 576}};
  if (quick) {
    measure(shapes[1], 1, bandwidth);
    return 0;
  }
  for (const Shape& shape : shapes)
    for (const int rows : {1, 16, 32, 64, 128}) measure(shape, rows, bandwidth);
  return 0;
}
