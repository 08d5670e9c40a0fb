// Decode attention against the read bandwidth of the same run. `quick`: one shape, for a profiler.
#include <cstring>
#include <numeric>
#include <random>

#include "kernels/cuda/attention.hpp"
#include "timing.cuh"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Load {
  const char* name;
  int q_heads, kv_heads, head_dim;
  std::vector<int> lengths;
  int window = 0;
  float soft_cap = 0.0f;
};

// Blocks of 16 tokens in random order; caches rotate so that a call finds nothing of its own in the L2 cache.
void measure(const Load& load, double bandwidth) {
  const int tokens = static_cast<int>(load.lengths.size());
  const int longest = *std::max_element(load.lengths.begin(), load.lengths.end());
  const int stride = (longest + 15) / 16;
  AttentionShape shape{load.q_heads, load.kv_heads, load.head_dim, 16, 0.08f, load.soft_cap, load.window};
  std::vector<std::int32_t> position, row(tokens), table(static_cast<std::size_t>(stride) * tokens, 0);
  std::iota(row.begin(), row.end(), 0);
  int blocks = 0, items = 0;
  double keys = 0.0;
  for (const int length : load.lengths) {
    position.push_back(length - 1);
    blocks += (length + 15) / 16;
    items += attention_items(length - 1, load.window);
    keys += load.window > 0 ? std::min(length, load.window) : length;
  }
  std::vector<std::int32_t> ids(blocks);
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  for (int t = 0, next = 0; t < tokens; ++t)
    for (int b = 0; b < (load.lengths[t] + 15) / 16; ++b)
      table[static_cast<std::size_t>(t) * stride + b] = ids[next++];
  const std::int64_t block_elements = static_cast<std::int64_t>(load.kv_heads) * 16 * load.head_dim;
  const std::size_t cache_elements = block_elements * blocks;
  const double bytes = keys * load.kv_heads * load.head_dim * 4.0;
  const int caches =
      static_cast<int>(std::max<std::size_t>(2, (std::size_t{200} << 20) / (cache_elements * 4) + 1));
  const Buffer<bf16> k(cache_elements * caches), v(cache_elements * caches);
  fill(k.get(), k.size(), 1);
  fill(v.get(), v.size(), 2);
  const std::size_t row_elements = static_cast<std::size_t>(load.q_heads) * load.head_dim;
  const Buffer<bf16> q(tokens * row_elements), out(tokens * row_elements);
  fill(q.get(), q.size(), 3);
  const Buffer<std::int32_t> positions(position), rows(row), block_table(table);
  const Buffer<std::int32_t> words(attention_plan_words(tokens, items));
  const Buffer<char> workspace(attention_workspace_bytes(shape, tokens, items));
  const AttentionRows asking{positions.get(), rows.get(), tokens};
  const AttentionPlan plan{words.get(), tokens, items};
  require(clear_attention_workspace(workspace.get(), workspace.size(), nullptr));
  require(plan_attention(asking, load.window, plan, nullptr));
  require(cudaDeviceSynchronize(), "plan");
  const double us = time_us(
      [&](cudaStream_t stream, int call) {
        const std::size_t at = cache_elements * (call % caches);
        const AttentionCache cache{k.get() + at, v.get() + at, block_elements, block_table.get(), stride};
        require(decode_attention(shape, asking, cache, plan, q.get(), static_cast<std::int64_t>(row_elements),
                                 out.get(), workspace.get(), stream));
      },
      std::max(caches, 4), 9);
  std::printf("%-34s %8.1f MB %9.2f us %7.3f TB/s %6.1f %% of the read\n", load.name, bytes / 1e6, us,
              bytes / us / 1e6, 100.0 * bytes / us / bandwidth);
}

std::vector<int> mixed(int tokens, int longest) {
  std::vector<int> out;
  for (int i = 0; i < tokens; ++i) out.push_back(1 + static_cast<int>(mix(i) % longest));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  const double bandwidth = quick ? 3e6 : read_bandwidth(std::size_t{2} << 30);
  if (!quick) {
    std::printf("read of 2 GiB: %.3f TB/s; of 256 MiB: %.3f TB/s; copy of 1 GiB: %.3f TB/s\n",
                bandwidth / 1e6, read_bandwidth(std::size_t{256} << 20) / 1e6,
                copy_bandwidth(std::size_t{1} << 30) / 1e6);
  }
  measure({"8B, 64 x 2048", 32, 8, 128, std::vector<int>(64, 2048)}, bandwidth);
  if (quick) return 0;
  measure({"8B, 32 x 2000 (262 MB)", 32, 8, 128, std::vector<int>(32, 2000)}, bandwidth);
  measure({"8B, 128 x 1000", 32, 8, 128, std::vector<int>(128, 1000)}, bandwidth);
  measure({"8B, 256 x 300", 32, 8, 128, std::vector<int>(256, 300)}, bandwidth);
  measure({"8B, 128 mixed up to 4096", 32, 8, 128, mixed(128, 4096)}, bandwidth);
  measure({"8B, 1 x 131072", 32, 8, 128, {131072}}, bandwidth);
  measure({"8B, 1 x 8192", 32, 8, 128, {8192}}, bandwidth);
  measure({"8B, 1 x 1024", 32, 8, 128, {1024}}, bandwidth);
  measure({"8B, 1 x 128", 32, 8, 128, {128}}, bandwidth);
  measure({"0.6B, 64 x 2048", 16, 8, 128, std::vector<int>(64, 2048)}, bandwidth);
  measure({"SmolLM2, 256 x 2048", 9, 3, 64, std::vector<int>(256, 2048)}, bandwidth);
  measure({"SmolLM2, 1 x 1024", 9, 3, 64, {1024}}, bandwidth);
  measure({"head size 256, 256 x 2048, 4/1", 4, 1, 256, std::vector<int>(256, 2048)}, bandwidth);
  measure({"head size 256, 64 x 2048, 8/4 cap", 8, 4, 256, std::vector<int>(64, 2048), 0, 50.0f}, bandwidth);
  measure({"16 heads a key head, 128 x 2048", 32, 2, 128, std::vector<int>(128, 2048)}, bandwidth);
  measure({"window 1024 of 8192, 128", 32, 8, 128, std::vector<int>(128, 8192), 1024}, bandwidth);
  return 0;
}
