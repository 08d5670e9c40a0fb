// A prefill chunk of 2,048 tokens of Llama-3.1-8B as one captured graph: time, and the share of the rate of a large
// product in the same run that its products reach. Then the launches of each kind alone.
#include "model_case.cuh"

using namespace device_test;

int main() {
  constexpr int rows = 2048;
  Gemm gemm;
  require(gemm.open());
  require(gemm.plan({8192, 8192}, 8192));
  const double limit = 2e-6 * 8192 * 8192 * 8192 / gemm.choice({8192, 8192}, 8192)->us;
  plan_products(gemm, llama_8b, rows, 1);
  ModelCase model(llama_8b, gemm, rows, 1, rows);
  model.set_chunk(rows);
  const auto time = [&](int only) {
    return time_us([&](cudaStream_t stream, int) { model.enqueue(stream, only); }, 1, only < 0 ? 9 : 3);
  };
  const double us = time(-1);
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
    const double alone = time(kind);
    std::printf("    %-10s %9.2f us x %d, %4.1f %%\n", kind_names[kind], alone / launches, launches,
                100.0 * alone / us);
  }
  return 0;
}
