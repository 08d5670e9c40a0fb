// What it costs that Gemm chooses once for a range of row counts: the time of its choice inside a range, beside the
// fastest choice for that very count. Weights come from memory.
#include <map>

#include "kernels/cuda/gemm_search.hpp"
#include "timing.cuh"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Shape {
  const char* name;
  int n, k, layers;
};

std::map<int, std::pair<double, double>> sums;  // by rows: us of a model's layers, as chosen and at best

void measure(Gemm& gemm, cublasLtHandle_t handle, const Shape& s) {
  constexpr int most = 4096;
  require(gemm.plan({s.n, s.k}, most));
  GemmSearch search;
  require(search.prepare(handle, {s.n, s.k}, most));
  const Buffer<bf16> x(std::size_t{most} * s.k), out(std::size_t{most} * s.n);
  const int copies = std::max(2, static_cast<int>((std::size_t{128} << 20) / (std::size_t{2} * s.n * s.k)));
  const std::size_t weight = std::size_t{1} * s.n * s.k;
  const Buffer<bf16> weights(weight * copies);
  const Buffer<char> workspace(Gemm::workspace_bytes);
  fill(x.get(), x.size(), 1);
  fill(weights.get(), weights.size(), 2);
  std::printf("%s %d x %d\n", s.name, s.n, s.k);
  for (const int rows :
       {288,  320,  448,  512,  544,  576,  640,  704,  768,  832,  896,  960,  1024, 1056, 1088, 1152,
        1216, 1280, 1408, 1536, 1600, 1664, 1792, 1920, 2048, 2112, 2304, 2560, 3072, 3328, 4096}) {
    const double us = time_us(
        [&](cudaStream_t stream, int call) {
          LinearJob job;
          job.x = x.get();
          job.weight = weights.get() + weight * (call % copies);
          job.out = out.get();
          job.x_stride = s.k;
          job.out_stride = s.n;
          job.rows = rows;
          job.n = s.n;
          job.k = s.k;
          require(gemm.run(job, workspace.get(), stream));
        },
        8, 5);
    GemmChoice choice;
    GemmAlgorithm algorithm;
    require(search.choose(rows, rows, choice, algorithm));
    sums[rows].first += us * s.layers;
    sums[rows].second += choice.us * s.layers;
    std::printf("  %5d rows %9.2f us as chosen (%5.1f TFLOP/s), %9.2f at best (%5.1f)%s\n", rows, us,
                2e-6 * rows * s.n * s.k / us, choice.us, 2e-6 * rows * s.n * s.k / choice.us,
                us > 1.05 * choice.us ? "  !" : "");
  }
  std::fflush(stdout);
}

void model(const char* name, Gemm& gemm, cublasLtHandle_t handle, std::initializer_list<Shape> shapes) {
  sums.clear();
  for (const Shape& shape : shapes) measure(gemm, handle, shape);
  for (const auto& [rows, us] : sums)
    std::printf("%s, %d rows: %.3f ms as chosen, %.3f at best, %.3f\n", name, rows, us.first / 1000,
                us.second / 1000, us.first / us.second);
}

}  // namespace

int main() {
  Gemm gemm;
  require(gemm.open());
  cublasLtHandle_t handle = nullptr;
  if (cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS) return 1;
  model("8B", gemm, handle,
        {{"8B qkv", 6144, 4096, 32},
         {"8B o", 4096, 4096, 32},
         {"8B gate, up", 28672, 4096, 32},
         {"8B down", 4096, 14336, 32}});
  model("0.6B", gemm, handle,
        {{"0.6B qkv", 4096, 1024, 28},
         {"0.6B o", 1024, 2048, 28},
         {"0.6B gate, up", 6144, 1024, 28},
         {"0.6B down", 1024, 3072, 28}});
  return 0;
}
