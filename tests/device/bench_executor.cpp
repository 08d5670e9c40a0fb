// Steps of decodes through the whole executor, as a step loop at lag 1 submits them: milliseconds a step, and of them what
// the device was busy. Random weights; contexts of 256; greedy.
//
//   bench_executor MODEL [BATCH]...     MODEL: 135m, 0.6b, 8b
#include <algorithm>

#include "executor_case.hpp"

namespace executor_test {
namespace {

model::Architecture shape(const std::string& name) {
  model::Architecture a = qwen3();
  a.max_positions = 2048;
  a.vocabulary = name == "8b" ? 128256 : name == "0.6b" ? 151936 : 49152;
  a.hidden = name == "8b" ? 4096 : name == "0.6b" ? 1024 : 576;
  a.intermediate = name == "8b" ? 14336 : name == "0.6b" ? 3072 : 1536;
  a.q_heads = name == "8b" ? 32 : name == "0.6b" ? 16 : 9;
  a.kv_heads = name == "135m" ? 3 : 8;
  a.head_dim = name == "135m" ? 64 : 128;
  a.layers.assign(name == "8b" ? 32 : name == "0.6b" ? 28 : 30, {});
  a.qk_norm = name == "0.6b";
  a.tied_embeddings = name != "8b";
  a.attention_scale = 1 / std::sqrt(static_cast<float>(a.head_dim));
  return a;
}

void bench(Executor& executor, SteadyClock& clock, std::uint32_t batch, const char* name) {
  constexpr std::uint32_t kPrompt = 255, kSteps = 60, kFirst = 20, kBlocks = 24;
  std::uint64_t number = 0;
  const Sampling greedy;
  const std::vector<std::uint32_t> prompt = random_tokens(kPrompt, 40000, 1);
  for (std::uint32_t row = 0; row < batch; ++row) {
    const Begin begin{row, 0, &greedy, kPrompt, 200, prompt, {}};
    std::vector<TableChange> changes;
    for (std::uint32_t i = 0; i < kBlocks; ++i) changes.push_back({row, i, i * batch + row});
    const BatchRow run{row, 0, kPrompt, true, false};
    executor.submit({number++, 0, 0, kPrompt, {&begin, 1}, changes, {}, {&run, 1}});
    if (const Collected done = executor.collect(); done.failed) std::puts(done.why.c_str()), std::exit(1);
  }
  std::vector<double> times, busy;
  std::uint64_t last = 0, host = 0;
  std::uint32_t in_flight = 0;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    std::vector<BatchRow> rows;
    for (std::uint32_t row = 0; row < batch; ++row) rows.push_back({row, kPrompt + step, 1, true, true});
    const std::uint64_t before = clock.now_ns();
    executor.submit({number++, 0, batch, 0, {}, {}, {}, rows});
    host += step >= kFirst ? clock.now_ns() - before : 0;
    if (++in_flight < 2) continue;
    const Collected done = executor.collect();
    --in_flight;
    if (done.failed) std::puts(done.why.c_str()), std::exit(1);
    const std::uint64_t now = clock.now_ns();
    if (step >= kFirst) {
      times.push_back(static_cast<double>(now - last) / 1e6);
      busy.push_back(static_cast<double>(done.device_end_ns - done.device_start_ns) / 1e6);
    }
    last = now;
  }
  executor.collect();
  std::sort(times.begin(), times.end());
  std::sort(busy.begin(), busy.end());
  std::printf(
      "%s batch %3u: %.3f ms a step, device busy %.3f ms, submit %.1f us (medians; submit the mean)\n", name,
      batch, times[times.size() / 2], busy[busy.size() / 2],
      static_cast<double>(host) / (kSteps - kFirst) / 1e3);
}

}  // namespace
}  // namespace executor_test

int main(int argc, char** argv) {
  using namespace executor_test;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string name = argc > 1 ? argv[1] : "135m";
  const model::Architecture a = shape(name);
  std::uint32_t most = 0;
  std::vector<std::uint32_t> batches;
  for (int i = 2; i < argc; ++i) batches.push_back(static_cast<std::uint32_t>(std::atoi(argv[i])));
  if (batches.empty()) batches = {1, 8, 32, 128};
  for (const std::uint32_t batch : batches) most = std::max(most, batch);
  for (const bool graphs : {true, false}) {
    SteadyClock clock;
    auto options = cuda_options(1, most, 256, 24 * most);
    options.graphs = graphs;
    auto executor = cuda_executor(clock, require(model::random_model(a, 3, 16), "model"), options);
    for (const std::uint32_t batch : batches)
      bench(*executor, clock, batch, (name + (graphs ? ", graphs   " : ", no graphs")).c_str());
  }
  return 0;
}
