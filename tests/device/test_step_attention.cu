// step_attention() against rope_and_store() and then decode_attention(): the result and the caches, to the bit.
// `quick`: few cases, for a slow tool.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "check.cuh"
#include "kernels/cuda/attention_step.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Case {
  int q_heads, kv_heads, head_dim, block_tokens;
  std::vector<int> lengths;  // keys of each sequence, the token's own in; 0: an unused row
  int window = 0;
  float soft_cap = 0.0f;
  bool norms = false;
  RopePairs pairs = RopePairs::halves;
};

std::string name_of(const Case& c) {
  std::string name = "step attention " + std::to_string(c.q_heads) + "/" + std::to_string(c.kv_heads) +
                     " x " + std::to_string(c.head_dim) + ", blocks of " + std::to_string(c.block_tokens);
  if (c.window > 0) name += ", window " + std::to_string(c.window);
  if (c.soft_cap > 0.0f) name += ", capped";
  if (c.norms) name += ", norms";
  if (c.lengths.size() > 20) return name + ", " + std::to_string(c.lengths.size()) + " tokens";
  for (const int length : c.lengths) name += " " + std::to_string(length);
  return name;
}

void test(const Case& c) {
  const int tokens = static_cast<int>(c.lengths.size());
  const int longest = *std::max_element(c.lengths.begin(), c.lengths.end());
  const int stride = (longest + c.block_tokens - 1) / c.block_tokens;
  std::vector<std::int32_t> position, row(tokens), table(static_cast<std::size_t>(stride) * tokens);
  for (const int length : c.lengths) position.push_back(length - 1);
  std::iota(row.begin(), row.end(), 0);
  std::reverse(row.begin(), row.end());
  std::iota(table.begin(), table.end(), 0);
  std::shuffle(table.begin(), table.end(), std::mt19937_64(3));
  int items = 0;
  for (const int p : position) items += attention_items(p, c.window);
  const std::int64_t block_elements = static_cast<std::int64_t>(c.kv_heads) * c.block_tokens * c.head_dim;
  const std::size_t cache_elements = static_cast<std::size_t>(block_elements) * table.size();
  const int row_elements = (c.q_heads + 2 * c.kv_heads) * c.head_dim;
  const std::size_t out_elements = static_cast<std::size_t>(tokens) * c.q_heads * c.head_dim;
  const std::vector<bf16> k_before = random_vector(cache_elements, 1),
                          v_before = random_vector(cache_elements, 2),
                          qkv_before = random_vector(static_cast<std::size_t>(tokens) * row_elements, 3);
  const Buffer<bf16> q_norm(random_vector(c.head_dim, 4)), k_norm(random_vector(c.head_dim, 5));
  const Buffer<std::int32_t> positions(position), rows(row), block_table(table),
      words(attention_plan_words(tokens, items));
  const Buffer<double> frequencies(rope_frequencies(c.head_dim, 10000.0, {}));
  const Buffer<float2> angles(static_cast<std::size_t>(longest) * c.head_dim / 2);
  require(fill_rope_table(frequencies.get(), longest, c.head_dim, angles.get(), nullptr));
  StepAttentionJob job;
  job.shape = {c.q_heads, c.kv_heads, c.head_dim, c.block_tokens, 0.09f, c.soft_cap, c.window};
  const std::size_t bytes = attention_workspace_bytes(job.shape, tokens, items);
  Buffer<char> workspace(bytes);
  Buffer<bf16> k(k_before), v(v_before), qkv(qkv_before), out(out_elements);
  RopeJob& rope = job.rope;
  rope.q_heads = c.q_heads;
  rope.kv_heads = c.kv_heads;
  rope.head_dim = c.head_dim;
  rope.block_tokens = c.block_tokens;
  rope.pairs = c.pairs;
  if (c.norms) rope.q_norm = q_norm.get(), rope.k_norm = k_norm.get();
  rope.table = angles.get();
  rope.position = positions.get();
  rope.table_row = rows.get();
  rope.block_table = block_table.get();
  rope.table_stride = stride;
  rope.qkv = qkv.get();
  rope.tokens = tokens;
  rope.k_cache = k.get();
  rope.v_cache = v.get();
  rope.block_stride = block_elements;
  job.plan = {words.get(), tokens, items};
  job.out = out.get();
  job.workspace = workspace.get();
  const AttentionRows asking{positions.get(), rows.get(), tokens};
  const AttentionCache cache{k.get(), v.get(), block_elements, block_table.get(), stride};
  workspace.poison();
  require(clear_attention_workspace(workspace.get(), bytes, nullptr));
  require(plan_attention(asking, c.window, job.plan, nullptr));
  out.poison();
  require(rope_and_store(rope, nullptr));
  require(decode_attention(job.shape, asking, cache, job.plan, qkv.get(), row_elements, out.get(),
                           workspace.get(), nullptr));
  require(cudaDeviceSynchronize(), "two launches");
  const std::vector<bf16> expected = out.take(), k_after = k.take(), v_after = v.take();
  for (const bool early : {false, true}) {
    job.early = early;
    for (int i = 0; i < 2; ++i) {  // the workspace has to come back clean
      k.put(k_before), v.put(v_before), qkv.put(qkv_before);
      out.poison();
      require(cudaDeviceSynchronize(), "before");
      require(step_attention(job, nullptr));
      require(cudaDeviceSynchronize(), "one launch");
      const std::string what = name_of(c) + (early ? ", early" : "");
      check(same_bits(out.take().data(), expected.data(), expected.size()), what + ": the result differs");
      check(same_bits(k.take().data(), k_after.data(), k_after.size()), what + ": the keys differ");
      check(same_bits(v.take().data(), v_after.data(), v_after.size()), what + ": the values differ");
      check(same_bits(qkv.take().data(), qkv_before.data(), qkv_before.size()), what + ": qkv was written");
    }
  }
}

// Lengths of `count` sequences, short ones first; every 13th row is unused.
std::vector<int> mixed(int count, int step, int most) {
  std::vector<int> lengths;
  for (int i = 0; i < count; ++i) lengths.push_back(i % 13 == 12 ? 0 : 1 + i * step % most);
  return lengths;
}

void test_refusals() {
  StepAttentionJob job;
  job.shape = {4, 2, 256, 16, 0.1f};
  job.rope.q_heads = 4;
  job.rope.kv_heads = 2;
  job.rope.head_dim = 256;
  check(!step_attention(job, nullptr).ok(), "head size 256 was taken");
  job.shape.head_dim = job.rope.head_dim = 128;
  check(step_attention(job, nullptr).ok(), "no tokens were refused");
  job.rope.kv_heads = 1;
  check(!step_attention(job, nullptr).ok(), "two counts of heads were taken");
  job.rope.kv_heads = 2;
  job.rope.tokens = 1;
  check(!step_attention(job, nullptr).ok(), "more tokens than planned were taken");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  test_refusals();
  if (quick) {
    test({4, 2, 64, 16, {1, 130, 600}});
    test({8, 8, 64, 16, mixed(20, 17, 300)});
    return report("step attention, quick");
  }
  for (const int head_dim : {64, 128}) {
    for (const bool norms : {false, true}) {
      test({8, 2, head_dim, 16, {1, 2, 16, 17, 127, 128, 129, 255, 256, 257}, 0, 0.0f, norms});
      test({9, 3, head_dim, 32, {300, 0, 384, 385, 511, 512, 513}, 0, 0.0f, norms, RopePairs::neighbours});
    }
    test({32, 2, head_dim, 16, {1, 100, 700, 1025}});
    test({20, 1, head_dim, 64, {33, 900}});
    test({6, 2, head_dim, 16, {50, 200, 640, 1500}, 100});
    test({6, 2, head_dim, 16, {50, 200, 640, 1500}, 513, 30.0f});
    test({40, 2, head_dim, 16, {77, 1200}, 0, 20.0f});
    test({4, 4, head_dim, 128, {5000}});
    // More pieces of work than blocks, and tokens x kv_heads past the multiprocessors.
    test({16, 8, head_dim, 16, std::vector<int>(40, 300)});
    test({16, 8, head_dim, 16, std::vector<int>(150, 256)});
    test({16, 8, head_dim, 16, mixed(150, 7, 90)});
    test({32, 8, head_dim, 32, mixed(200, 37, 1100), 0, 0.0f, true});
    test({9, 3, head_dim, 16, mixed(300, 11, 700), 70, 0.0f, true, RopePairs::neighbours});
    test({8, 8, head_dim, 16, mixed(150, 41, 600), 0, 25.0f});
    test({32, 2, head_dim, 16, mixed(90, 29, 600)});
    test({20, 10, head_dim, 16, mixed(16, 67, 900)});
  }
  return report("step attention");
}
