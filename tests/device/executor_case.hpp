// What tests of the CUDA executor share: small random checkpoints whose sizes the kernels' tiles do not divide, plans,
// and checks that count.
#pragma once

#include <serveloop/precision.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/steady_clock.hpp"
#include "execute/cpu/cpu_executor.hpp"
#include "execute/cuda/cuda_executor.hpp"

namespace executor_test {

using namespace serveloop;
using execute::Batch;
using execute::BatchRow;
using execute::Begin;
using execute::Collected;
using execute::Executor;
using execute::TableChange;

inline int passed = 0;
inline int failed = 0;

inline void check(bool good, const std::string& what) {
  ++(good ? passed : failed);
  if (!good && failed <= 30) std::printf("FAILED  %s\n", what.c_str());
}
template <class T>
T require(Result<T> result, const char* what) {
  if (result) {
    if constexpr (!std::is_void_v<T>)
      return std::move(*result);
    else
      return;
  }
  std::printf("STOPPED  %s: %s\n", what, result.error().message().c_str());
  std::exit(1);
}

inline model::Architecture llama() {
  model::Architecture a;
  a.family = "llama";
  a.vocabulary = 1008;
  a.hidden = 200;
  a.intermediate = 328;
  a.q_heads = 6;
  a.kv_heads = 2;
  a.head_dim = 64;
  a.max_positions = 2048;
  a.layers.resize(3);
  a.norm_eps = 1e-5f;
  a.attention_scale = 0.125f;
  a.rope_pairs = model::RopePairs::neighbours;
  a.ropes[0].theta = 500.0;
  a.ropes[0].scaling = model::RopeScaling::llama3;
  a.ropes[0].factor = 8;
  a.ropes[0].original_positions = 64;
  return a;
}
inline model::Architecture mistral() {
  model::Architecture a = llama();
  a.family = "mistral";
  a.vocabulary = 1003;
  a.rope_pairs = model::RopePairs::halves;
  a.ropes[0].scaling = model::RopeScaling::none;
  for (model::Layer& layer : a.layers) layer.window = 101;
  return a;
}
inline model::Architecture qwen2() {
  model::Architecture a = mistral();
  a.family = "qwen2";
  a.qkv_bias = a.tied_embeddings = true;
  for (model::Layer& layer : a.layers) layer.window = 0;
  return a;
}
inline model::Architecture qwen3() {
  model::Architecture a = qwen2();
  a.family = "qwen3";
  a.qkv_bias = false;
  a.qk_norm = true;
  a.q_heads = 4;
  a.head_dim = 128;
  a.attention_scale = 1 / std::sqrt(128.0f);
  return a;
}
inline model::Architecture gemma3() {
  model::Architecture a = qwen3();
  a.family = "gemma3";
  a.post_norms = true;
  a.kv_heads = 1;
  a.head_dim = 256;
  a.gate = model::Gate::gelu_tanh;
  a.embedding_scale = model::gemma_embedding_scale(a.hidden);
  a.attention_scale = 0.07f;
  a.attention_soft_cap = 9.0f;
  a.layers = {{71, model::RopeKind::local}, {0, model::RopeKind::global}, {71, model::RopeKind::local}};
  a.ropes[0].scaling = model::RopeScaling::linear;
  a.ropes[0].factor = 8;
  a.ropes[1].theta = 100;
  return a;
}

inline model::Model random(const model::Architecture& a, std::uint64_t seed = 3) {
  require(model::check(a, a.family), "architecture");
  return require(model::random_model(a, seed), "model");
}

// One plan for all operations: the inputs of products, and K and V.
inline std::vector<sl_op_plan> plans_of(std::span<const sl_op_key> keys, std::uint8_t dtype) {
  std::vector<sl_op_plan> plans(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].role == SL_ROLE_EMBED || keys[i].role == SL_ROLE_NORM) continue;
    plans[i].input.dtype = dtype;
    if (keys[i].role == SL_ROLE_KV) plans[i].weight.dtype = dtype;
  }
  return plans;
}

inline std::vector<std::uint32_t> random_tokens(std::size_t count, std::uint32_t vocabulary, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<std::uint32_t> tokens(count);
  for (std::uint32_t& token : tokens) token = static_cast<std::uint32_t>(draw() % vocabulary);
  return tokens;
}

// Choices of products are kept beside the program: what one executor has found the next one need not search.
inline execute::cuda::CudaOptions cuda_options(std::uint32_t lag, std::uint32_t rows, std::uint32_t budget,
                                               std::uint32_t blocks, std::uint32_t block_tokens = 16) {
  execute::cuda::CudaOptions options;
  options.lag = lag;
  options.max_sequences = rows;
  options.token_budget = budget;
  options.blocks = blocks;
  options.block_tokens = block_tokens;
  options.products_cache = ".";
  return options;
}
inline std::unique_ptr<execute::cuda::CudaExecutor> cuda_executor(Clock& clock, model::Model model,
                                                                  const execute::cuda::CudaOptions& options) {
  auto executor = require(execute::cuda::CudaExecutor::create(clock, std::move(model), options), "executor");
  if (!executor->note().empty()) std::printf("note: %s\n", executor->note().c_str());
  require(executor->apply(0, plans_of(executor->op_keys(), SL_BF16)), "plan");
  return executor;
}

}  // namespace executor_test
