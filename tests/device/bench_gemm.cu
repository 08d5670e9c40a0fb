// What Gemm chooses for the products of three models, against the heuristic's first suggestion (whatever its bits) and
// against a large product of the same run. `quick`: one shape.
#include <chrono>
#include <cstring>

#include "kernels/cuda/gemm.hpp"
#include "timing.cuh"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Shape {
  const char* name;
  int n, k;
};

double large_tflops(Gemm& gemm) {
  constexpr int size = 8192;
  require(gemm.plan({size, size}, size));
  const GemmChoice* choice = gemm.choice({size, size}, size);
  return 2e-6 * size * size * size / choice->us;
}

void measure(Gemm& gemm, const Shape& s, int most, double limit) {
  const auto from = std::chrono::steady_clock::now();
  require(gemm.plan({s.n, s.k}, most));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  std::printf("%s %d x %d, planned in %.2f s\n", s.name, s.n, s.k, seconds);
  for (const int rows : {16, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192}) {
    const GemmChoice* choice = gemm.choice({s.n, s.k}, rows);
    if (choice == nullptr || rows > most) continue;
    const double tflops = 2e-6 * rows * s.n * s.k / choice->us;
    std::printf(
        "  %5d rows %9.2f us %s, %.2f of the heuristic's first, %5.1f TFLOP/s (%4.1f %% of 8192^3), %.2f "
        "TB/s "
        "of weights, %d of %d equal\n",
        rows, choice->us, choice->own ? "linear " : "library", choice->us / choice->first_us, tflops,
        100.0 * tflops / limit, 2e-6 * s.n * s.k / choice->us, choice->equal, choice->suggestions);
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  Gemm gemm;
  require(gemm.open());
  if (quick) {
    measure(gemm, {"0.6B o", 1024, 2048}, 64, 700.0);
    return 0;
  }
  const double limit = large_tflops(gemm);
  std::printf("8192 x 8192 x 8192: %.1f TFLOP/s\n", limit);
  const Shape shapes[] = {{"8B qkv", 6144, 4096},          {"8B o", 4096, 4096},
                          {"8B gate, up", 28672, 4096},    {"8B down", 4096, 14336},
                          {"0.6B qkv", 4096, 1024},        {"0.6B o", 1024, 2048},
                          {"0.6B gate, up", 6144, 1024},   {"0.6B down", 1024, 3072},
                          {"SmolLM2 qkv", 960, 576},       {"SmolLM2 o", 576, 576},
                          {"SmolLM2 gate, up", 3072, 576}, {"SmolLM2 down", 576, 1536}};
  for (const Shape& shape : shapes) measure(gemm, shape, shape.n > 8192 ? 4096 : 8192, limit);
  measure(gemm, {"8B vocabulary", 128256, 4096}, 256, limit);
  measure(gemm, {"0.6B vocabulary", 151936, 1024}, 256, limit);
  measure(gemm, {"SmolLM2 vocabulary", 49152, 576}, 256, limit);
  return 0;
}
