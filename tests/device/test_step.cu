// Whole decode steps: a row's logits do not change with the batch around it, whichever kernels the batch takes, nor
// from one replay of a captured step to the next, where every kernel starts before the one before it has ended.
// `quick`: one batch, for a slow tool.
#include <cstring>

#include "model_case.cuh"

using namespace device_test;

namespace {

constexpr int context = 300;

std::vector<bf16> logits_of(ModelCase& model, int rows, bool captured) {
  model.set_decode(rows, context);
  cudaStream_t stream;
  require(cudaStreamCreate(&stream), "stream");
  if (!captured) {
    model.enqueue(stream);
  } else {
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
    model.enqueue(stream);
    require(cudaStreamEndCapture(stream, &graph), "capture");
    require(cudaGraphInstantiate(&ready, graph, 0), "graph");
    for (int i = 0; i < 3; ++i) {
      model.reset_tokens();
      require(cudaGraphLaunch(ready, stream), "launch");
      require(cudaStreamSynchronize(stream), "step");
    }
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
  }
  require(cudaStreamSynchronize(stream), "step");
  cudaStreamDestroy(stream);
  model.reset_tokens();
  return model.logits();
}

void test_model(Gemm& gemm, const ModelShape& shape, int most, const std::vector<int>& batches) {
  plan_products(gemm, shape, most, most);
  ModelCase model(shape, gemm, most, most, context);
  const std::vector<bf16> all = logits_of(model, most, false);
  bool finite = true, moves = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    finite = finite && std::isfinite(value(all[i]));
    moves = moves || (i >= static_cast<std::size_t>(shape.vocabulary) &&
                      bits(all[i]) != bits(all[i - shape.vocabulary]));
  }
  check(finite, std::string(shape.name) + ": a logit is no number");
  check(moves, std::string(shape.name) + ": all rows are equal, so nothing is compared");
  for (const int rows : batches) {
    const std::vector<bf16> some = logits_of(model, rows, true);
    check(same_bits(some.data(), all.data(), static_cast<std::size_t>(rows) * shape.vocabulary),
          std::string(shape.name) + ": " + std::to_string(rows) + " rows differ from the same rows of " +
              std::to_string(most));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  Gemm gemm;
  require(gemm.open());
  const ModelShape plain = {"plain", 3, 576, 9, 3, 64, 1536, 1000, false};
  if (quick) {
    test_model(gemm, plain, 20, {3});
    return report("step, quick");
  }
  test_model(gemm, plain, 200, {1, 2, 17, 64, 65, 130, 200});
  test_model(gemm, {"with QK norm", 3, 1024, 16, 8, 128, 3072, 2000, true}, 200,
             {1, 8, 33, 64, 65, 129, 200});
  test_model(gemm, {"wide", 2, 4096, 32, 8, 128, 14336, 1000, false}, 130, {1, 16, 64, 65, 128, 130});
  return report("step");
}
