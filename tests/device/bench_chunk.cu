// Prefill chunks as one captured graph each. `large`: 2,048 tokens of Llama-3.1-8B: time, the share of the rate of a large
// product in the same run that its products reach, and the launches of each kind alone. `sizes`: chunks of 16 to 2,048
// tokens after 0 to 16,000 keys: ms a step, and us a launch of attention alone. Without an argument: both.
#include <cstring>

#include "model_case.cuh"

using namespace device_test;

namespace {

double time_of(ModelCase& model, int only, int repeats) {
  return time_us([&](cudaStream_t stream, int) { model.enqueue(stream, only); }, 1, repeats);
}

void bench_large() {
  constexpr int rows = 2048;
  Gemm gemm;
  require(gemm.open());
  require(gemm.plan({8192, 8192}, 8192));
  const double limit = 2e-6 * 8192 * 8192 * 8192 / gemm.choice({8192, 8192}, 8192)->us;
  plan_products(gemm, llama_8b, rows, 1);
  ModelCase model(llama_8b, gemm, rows, 1, rows);
  model.set_chunk(rows);
  const double us = time_of(model, -1, 9);
  const double products =
      2e-6 * (llama_8b.layers * llama_8b.layer_elements() * rows + llama_8b.head_elements());
  const double attention = 2e-6 * llama_8b.layers * llama_8b.attended() * rows * (rows + 1.0);
  std::printf("8192 x 8192 x 8192: %.1f TFLOP/s\n", limit);
  std::printf(
      "%s, a chunk of %d: %.2f ms, %.0f tokens/s, %.1f TFLOP/s of products (%.1f %%), with attention %.1f "
      "(%.1f %%)\n",
      llama_8b.name, rows, us / 1000.0, rows / us * 1e6, products / us, 100.0 * products / us / limit,
      (products + attention) / us, 100.0 * (products + attention) / us / limit);
  for (int kind = 0; kind < kinds; ++kind) {
    const int launches = model.launches(kind);
    if (launches == 0) continue;
    const double alone = time_of(model, kind, 3);
    std::printf("    %-10s %9.2f us x %d, %4.1f %%\n", kind_names[kind], alone / launches, launches,
                100.0 * alone / us);
  }
}

void bench_sizes(const ModelShape& shape) {
  constexpr int most = 2048;
  const std::vector<int> contexts = {0, 2000, 8000, 16000};
  Gemm gemm;
  require(gemm.open());
  plan_products(gemm, shape, most, 1);
  ModelCase model(shape, gemm, most, 1, contexts.back() + most);
  std::printf("%s: ms a step, us a launch of attention; after", shape.name);
  for (const int context : contexts) std::printf(" %d", context);
  std::printf(" keys\n");
  for (const int rows : {16, 32, 64, 128, 256, 320, 384, 512, 1024, most}) {
    std::printf("%6d tokens", rows);
    for (const int context : contexts) {
      model.set_chunk(rows, context);
      const double step = time_of(model, -1, 9), attention = time_of(model, kind_attention, 9);
      std::printf("  %8.3f %8.2f", step / 1000.0, attention / shape.layers);
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool all = argc < 2;
  if (all || std::strcmp(argv[1], "large") == 0) bench_large();
  if (all || std::strcmp(argv[1], "sizes") == 0) bench_sizes(llama_8b), bench_sizes(qwen_06b);
  return 0;
}
