// Whole decode steps as captured graphs, sampling in, next to the bytes that they must read; then the launches of each
// kind alone. Random weights, every layer its own; 256 keys a sequence (or keys=KEYS; vLLM's times are of 256 all the same) in blocks of 16 in
// random order.
//
//   bench_decode [8b|0.6b|135m|BATCH|keys=KEYS|apart|in_one]...     (default: all models, all batches, 256 keys)
//
// apart, in_one: rotary positions and attention in launches of their own, or in one, at every batch.

#include "model_case.cuh"

using namespace device_test;

namespace {

int context = 256;

// Milliseconds a step that vLLM 0.23.0 took at prompt 128, output 256 on an H100 80GB (another machine of this kind);
// 0 where nobody knows.
struct Peer {
  int batch;
  double ms;
};

struct Graph {
  cudaStream_t stream;
  cudaGraphExec_t ready;

  Graph(ModelCase& model, int only, int steps) {
    cudaGraph_t graph;
    require(cudaStreamCreate(&stream), "stream");
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
    for (int i = 0; i < steps; ++i) model.enqueue(stream, only);
    require(cudaStreamEndCapture(stream, &graph), "capture");
    require(cudaGraphInstantiate(&ready, graph, 0), "graph");
    cudaGraphDestroy(graph);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    cudaGraphExecDestroy(ready);
    cudaStreamDestroy(stream);
  }

  // Microseconds a launch, of `launches` in a row: the median of `repeats`.
  double us(int launches, int repeats) const {
    cudaEvent_t from, to;
    require(cudaEventCreate(&from), "event");
    require(cudaEventCreate(&to), "event");
    std::vector<float> times;
    for (int i = 0; i < repeats + 1; ++i) {
      require(cudaEventRecord(from, stream), "record");
      for (int j = 0; j < launches; ++j) require(cudaGraphLaunch(ready, stream), "launch");
      require(cudaEventRecord(to, stream), "record");
      require(cudaEventSynchronize(to), "synchronise");
      float ms = 0.0f;
      require(cudaEventElapsedTime(&ms, from, to), "elapsed");
      if (i > 0) times.push_back(ms);
    }
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] * 1000.0 / launches;
  }
};

void measure(ModelCase& model, const Peer& peer, double bandwidth) {
  model.set_decode(peer.batch, context);
  const double kv = 4.0 * model.s.layers * model.s.kv_heads * model.s.head_dim * context * peer.batch;
  const double floor_us = (model.weight_bytes() + kv) / bandwidth;
  const double step = Graph(model, -1, 1).us(10, 9);
  const double chained = Graph(model, -1, 4).us(3, 9) / 4;
  std::printf("%-13s b=%-3d  step %8.1f us  (%.1f %% of the read", model.s.name, peer.batch, step,
              100.0 * floor_us / step);
  if (peer.ms > 0) std::printf("; vLLM %.2f ms, %.2f x", peer.ms, peer.ms * 1000.0 / step);
  std::printf(")  idle between graphs %.1f us\n", step - chained);
  std::printf("    alone, us a launch x launches:");
  double sum = 0.0;
  for (int kind = 0; kind < kinds; ++kind) {
    const int launches = model.launches(kind);
    if (launches == 0) continue;
    const double us = Graph(model, kind, 1).us(5, 3);
    sum += us;
    std::printf("  %s %.2f x %d", kind_names[kind], us / launches, launches);
  }
  std::printf("; sum %.0f us\n", sum);
  std::fflush(stdout);
}

void run(Gemm& gemm, const ModelShape& shape, const std::vector<Peer>& all, const std::vector<int>& batches,
         double bandwidth) {
  std::vector<Peer> peers = batches.empty() ? all : std::vector<Peer>{};
  for (const int batch : batches) {
    const auto known = std::find_if(all.begin(), all.end(), [&](const Peer& p) { return p.batch == batch; });
    peers.push_back(known != all.end() ? *known : Peer{batch, 0});
  }
  std::sort(peers.begin(), peers.end(), [](const Peer& a, const Peer& b) { return a.batch < b.batch; });
  if (peers.empty()) return;
  plan_products(gemm, shape, peers.back().batch, peers.back().batch);
  ModelCase model(shape, gemm, peers.back().batch, peers.back().batch, context);
  for (const Peer& peer : peers) measure(model, peer, bandwidth);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> batches;
  std::vector<std::string> models;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "apart" || word == "in_one") {
      ModelCase::in_one_always = word == "in_one";
    } else if (word.rfind("keys=", 0) == 0) {
      context = std::max(1, std::atoi(word.c_str() + 5));
    } else if (word.find_first_not_of("0123456789") == std::string::npos) {
      batches.push_back(std::atoi(argv[i]));
    } else {
      models.push_back(word);
    }
  }
  const auto wanted = [&](const char* name) {
    return models.empty() || std::find(models.begin(), models.end(), name) != models.end();
  };
  const double bandwidth = read_bandwidth(std::size_t{2} << 30);
  std::printf("read of 2 GiB: %.3f TB/s\n", bandwidth / 1e6);
  Gemm gemm;
  require(gemm.open());
  if (wanted("135m"))
    run(gemm, smollm2, {{1, 2.46}, {8, 2.83}, {32, 2.83}, {128, 4.20}, {256, 5.73}}, batches, bandwidth);
  if (wanted("0.6b"))
    run(gemm, qwen_06b, {{1, 1.89}, {8, 1.88}, {32, 2.18}, {128, 3.80}, {256, 6.68}}, batches, bandwidth);
  if (wanted("8b"))
    run(gemm, llama_8b, {{1, 6.49}, {8, 6.63}, {32, 7.15}, {128, 9.23}, {256, 12.59}}, batches, bandwidth);
  return 0;
}
