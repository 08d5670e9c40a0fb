// Steps of decodes through the whole executor, as a step loop at lag 1 submits them: milliseconds a step, and of them what
// the device was busy. Random weights; contexts of 256; greedy.
//
//   bench_executor MODEL [BATCH]...             MODEL: 135m, 0.6b, 8b
//   bench_executor MODEL prefill [PROMPT[:CHUNK]]...   a prompt in chunks at lag 1: tokens/s of the wall, FLOP/s
#include <algorithm>

#include "executor_case.hpp"

namespace executor_test {
namespace {

model::Architecture shape(const std::string& name) {
  model::Architecture a = qwen3();
  a.max_positions = 16384;
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

// Multiplications and additions of a prompt of `tokens` (one row of logits), as two each.
double flop(const model::Architecture& a, double tokens) {
  const double width = (a.q_heads + 2.0 * a.kv_heads) * a.head_dim;
  const double linear =
      a.hidden * width + a.q_heads * a.head_dim * a.hidden + 3.0 * a.hidden * a.intermediate;
  const double attention =
      2.0 * a.q_heads * a.head_dim * (tokens + 1) / 2;  // QK and PV over what each token sees
  return 2 * static_cast<double>(a.layers.size()) * tokens * (linear + attention) +
         2.0 * a.hidden * a.vocabulary;
}

void bench_prefill(Executor& executor, SteadyClock& clock, const model::Architecture& a, std::uint32_t tokens,
                   std::uint32_t chunk, const char* name) {
  constexpr int kTimes = 12;
  const Sampling greedy;
  const std::vector<std::uint32_t> prompt = random_tokens(tokens, 40000, 1);
  std::vector<double> times;
  static std::uint64_t number = 0;
  const auto collect = [&] {
    if (const Collected done = executor.collect(); done.failed) std::puts(done.why.c_str()), std::exit(1);
  };
  for (int i = 0; i < kTimes; ++i) {
    const std::uint64_t before = clock.now_ns();
    std::uint32_t in_flight = 0;
    for (std::uint32_t start = 0; start < tokens; start += chunk) {
      const std::uint32_t now = std::min(chunk, tokens - start);
      const Begin begin{0, 0, &greedy, tokens, 16, prompt, {}};
      std::vector<TableChange> changes;
      for (std::uint32_t b = start / 16; b < (start + now + 15) / 16; ++b) changes.push_back({0, b, b});
      const BatchRow run{0, start, now, start + now == tokens, false};
      executor.submit({number++, 0, 0, now, {&begin, start == 0 ? 1u : 0u}, changes, {}, {&run, 1}});
      if (++in_flight == 2) collect(), --in_flight;
    }
    while (in_flight-- > 0) collect();
    if (i >= 3) times.push_back(static_cast<double>(clock.now_ns() - before) / 1e6);
  }
  std::sort(times.begin(), times.end());
  const double ms = times[times.size() / 2];
  std::printf("%s prefill %5u in %5u: %.3f ms, %.0f tokens/s, %.1f TFLOP/s\n", name, tokens, chunk, ms,
              tokens / ms * 1e3, flop(a, tokens) / ms / 1e9);
}

}  // namespace
}  // namespace executor_test

int main(int argc, char** argv) {
  using namespace executor_test;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::string name = argc > 1 ? argv[1] : "135m";
  const model::Architecture a = shape(name);
  if (argc > 2 && std::string(argv[2]) == "prefill") {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sizes;
    std::uint32_t longest = 0, widest = 0;
    for (int i = 3; i < argc; ++i) {
      std::uint32_t prompt = 0, chunk = 0;
      if (std::sscanf(argv[i], "%u:%u", &prompt, &chunk) == 1) chunk = prompt;
      sizes.push_back({prompt, chunk});
      longest = std::max(longest, prompt), widest = std::max(widest, chunk);
    }
    SteadyClock clock;
    auto executor = cuda_executor(clock, require(model::random_model(a, 3, 16), "model"),
                                  cuda_options(1, 8, widest, longest / 16 + 2));
    for (const auto& [prompt, chunk] : sizes) bench_prefill(*executor, clock, a, prompt, chunk, name.c_str());
    return 0;
  }
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
