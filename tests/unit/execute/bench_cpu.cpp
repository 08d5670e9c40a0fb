// Speed of the CPU executor: 128 tokens decoded behind 128, of 1 and of 16 sequences, and a prompt of 512, with where a
// step's time goes. Steps are taken one by one: the fastest says what the machine can do, the median what it did beside
// others; `all` is tokens over the wall clock from the first submit to the last collect, what other programs print.
//
// usage: bench_cpu MODEL.gguf|CONFIG.json [threads] [seconds a figure] [f32|bf16|native] [json]
// A config.json gets random BF16 weights. json: one line a figure.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "model/from_config.hpp"

using namespace serveloop;
namespace cpu = serveloop::execute::cpu;

namespace {

constexpr std::uint32_t kContext = 128, kDecoded = 128, kMostDecodes = 16, kPrompt = 512, kBlockTokens = 16;
constexpr std::uint32_t kRowBlocks = 64;  // 1,024 tokens

template <class T>
T need(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message());
  std::exit(2);
}

model::Model load(const std::string& path) {
  if (path.ends_with(".gguf")) return need(model::load_gguf(path));
  return need(model::random_model(need(model::load_config_json(path)), 1, 2));
}

class Bench {
 public:
  Bench(const std::string& path, unsigned threads, double seconds, const std::string& plan, bool json)
      : seconds_(seconds), json_(json) {
    cpu::CpuOptions options;
    options.threads = threads;
    options.max_sequences = kMostDecodes;
    options.token_budget = kPrompt;
    options.block_tokens = kBlockTokens;
    options.blocks = kMostDecodes * kRowBlocks;
    executor_ = need(cpu::CpuExecutor::create(clock_, load(path), options));
    std::vector<sl_op_plan> plans(executor_->op_keys().size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const auto role = executor_->op_keys()[i].role;
      const std::uint8_t dtype = plan == "f32" ? SL_F32 : plan == "bf16" ? SL_BF16 : SL_DTYPE_NATIVE;
      if (role == SL_ROLE_EMBED || role == SL_ROLE_NORM) continue;
      plans[i].input.dtype = dtype;
      if (role == SL_ROLE_KV) plans[i].weight.dtype = dtype;
    }
    if (Status good = executor_->apply(0, plans); !good) need(Result<int>(tl::unexpected(good.error())));
    executor_->set_times(&times_);
  }

  // Rounds of kDecoded tokens, each from the same context.
  void decode(std::uint32_t sequences) {
    std::vector<execute::BatchRow> rows;
    measure(
        fmt::format("decode, {} sequences", sequences), sequences, kDecoded,
        [&](std::uint32_t at) {
          if (at == 0) {
            begin_all(kContext);
            for (std::uint32_t row = 0; row < sequences; ++row) {
              rows.assign({{row, 0, kContext, true, false}});
              step(rows);
            }
          }
          rows.clear();
          for (std::uint32_t row = 0; row < sequences; ++row)
            rows.push_back({row, kContext + at, 1, true, true});
        },
        rows);
  }
  void prefill() {
    std::vector<execute::BatchRow> rows;
    measure(
        "prefill of 512", kPrompt, 1,
        [&](std::uint32_t) {
          begin_all(kPrompt);
          rows.assign({{0, 0, kPrompt, true, false}});
        },
        rows);
  }

 private:
  void begin_all(std::uint32_t prompt_tokens) {
    prompt_.resize(prompt_tokens);
    for (std::uint32_t i = 0; i < prompt_tokens; ++i)
      prompt_[i] = (i * 7919 + 13) % executor_->model().architecture.vocabulary;
    for (std::uint32_t row = 0; row < kMostDecodes; ++row) {
      begins_.push_back({row, 0, &sampling_, prompt_tokens, 1000, prompt_, {}});
      for (std::uint32_t i = 0; i < kRowBlocks; ++i) changes_.push_back({row, i, row * kRowBlocks + i});
    }
  }
  std::uint64_t step(const std::vector<execute::BatchRow>& rows) {
    execute::Batch batch{number_++, 0, 0, 0, begins_, changes_, {}, rows};
    for (const execute::BatchRow& row : rows)
      (row.decode ? batch.decodes : batch.prefill_tokens) += row.tokens;
    executor_->submit(batch);
    begins_.clear();
    changes_.clear();
    const execute::Collected done = executor_->collect();
    if (done.failed) need(Result<int>(fail(done.why)));
    return done.device_end_ns - done.device_start_ns;
  }
  // Rounds of `steps` steps; next(i) makes the i-th step's rows, outside of the time.
  template <class Next>
  void measure(const std::string& what, std::uint32_t tokens, std::uint32_t steps, const Next& next,
               std::vector<execute::BatchRow>& rows) {
    std::vector<std::uint64_t> took;
    std::uint64_t wall = 0;
    next(0);
    step(rows);  // first touch of memory
    times_ = {};
    const std::uint64_t stop = clock_.now_ns() + static_cast<std::uint64_t>(seconds_ * 1e9);
    do {
      for (std::uint32_t i = 0; i < steps; ++i) {
        next(i);
        const std::uint64_t begun = clock_.now_ns();
        took.push_back(step(rows));
        wall += clock_.now_ns() - begun;
      }
    } while (clock_.now_ns() < stop);
    print(what, tokens, took, wall);
  }
  void print(const std::string& what, std::uint32_t tokens, std::vector<std::uint64_t>& took,
             std::uint64_t wall) const {
    std::sort(took.begin(), took.end());
    const auto best = static_cast<double>(took.front()), middle = static_cast<double>(took[took.size() / 2]);
    const double all = tokens * static_cast<double>(took.size()) / static_cast<double>(wall) * 1e9;
    const auto percent = static_cast<double>(times_.products_ns + times_.attention_ns + times_.rest_ns) / 100;
    const double products = static_cast<double>(times_.products_ns) / percent,
                 attention = static_cast<double>(times_.attention_ns) / percent,
                 rest = static_cast<double>(times_.rest_ns) / percent;
    if (json_)
      return fmt::print(
          "{{\"what\": \"{}\", \"tokens_s\": {:.2f}, \"best_ms\": {:.4f}, \"median_ms\": {:.4f}, "
          "\"products\": {:.2f}, \"attention\": {:.2f}, \"rest\": {:.2f}, \"steps\": {}}}\n",
          what, all, best / 1e6, middle / 1e6, products, attention, rest, took.size());
    fmt::print(
        "{:22} all {:7.1f} tokens/s; best {:8.2f} ms, {:7.1f} tokens/s; median {:8.2f} ms, {:7.1f} tokens/s; "
        "products {:.1f} %, attention {:.1f} %, rest {:.1f} %; {} steps\n",
        what, all, best / 1e6, tokens / best * 1e9, middle / 1e6, tokens / middle * 1e9, products, attention,
        rest, took.size());
  }

  double seconds_;
  bool json_;
  SteadyClock clock_;
  cpu::PassTimes times_;
  std::unique_ptr<cpu::CpuExecutor> executor_;
  std::vector<std::uint32_t> prompt_;
  Sampling sampling_;  // the likeliest token
  std::vector<execute::Begin> begins_;
  std::vector<execute::TableChange> changes_;
  std::uint64_t number_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(
        stderr,
        "usage: bench_cpu MODEL.gguf|CONFIG.json [threads] [seconds a figure] [f32|bf16|native] [json]\n");
    return 2;
  }
  const unsigned threads = count > 2 ? static_cast<unsigned>(std::atoi(arguments[2])) : 1;
  const double seconds = count > 3 ? std::atof(arguments[3]) : 2;
  const std::string plan = count > 4 ? arguments[4] : "native";
  const bool json = count > 5 && std::string(arguments[5]) == "json";
  Bench bench(arguments[1], threads, seconds, plan, json);
  if (!json)
    fmt::print("{}, {} threads, {}, {}\n", arguments[1], threads, plan,
               kernels::cpu::name(kernels::cpu::detect()));
  bench.decode(1);
  bench.decode(kMostDecodes);
  bench.prefill();
}
