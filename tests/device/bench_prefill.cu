// Prefill attention: products a second, over the visible pairs of query and key alone. `quick`: one shape; another
// argument: the loads in whose names it is.
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
  int chunks, position, tokens;  // each chunk
  int window = 0;
  float soft_cap = 0.0f;
};

const char* wanted = "";

void measure(const Load& load) {
  if (std::strstr(load.name, wanted) == nullptr) return;
  const int length = load.position + load.tokens;
  const int stride = (length + 15) / 16;
  const AttentionShape shape{load.q_heads, load.kv_heads, load.head_dim, 16,
                             0.08f,        load.soft_cap, load.window};
  std::vector<std::int32_t> start, position(load.chunks, load.position), row(load.chunks);
  std::iota(row.begin(), row.end(), 0);
  for (int i = 0; i <= load.chunks; ++i) start.push_back(i * load.tokens);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(stride) * load.chunks);
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  const std::int64_t block_elements = static_cast<std::int64_t>(load.kv_heads) * 16 * load.head_dim;
  const Buffer<bf16> k(block_elements * ids.size()), v(k.size());
  fill(k.get(), k.size(), 1);
  fill(v.get(), v.size(), 2);
  const std::size_t row_elements = static_cast<std::size_t>(load.q_heads) * load.head_dim;
  const int tokens = load.chunks * load.tokens;
  const Buffer<bf16> q(tokens * row_elements), out(tokens * row_elements);
  fill(q.get(), q.size(), 3);
  const Buffer<std::int32_t> starts(start), positions(position), rows(row), table(ids);
  const AttentionChunks chunks{starts.get(), positions.get(), rows.get(), load.chunks, tokens, length};
  const AttentionCache cache{k.get(), v.get(), block_elements, table.get(), stride};
  double pairs = 0.0;
  for (int i = load.position; i < length; ++i)
    pairs += load.window > 0 ? std::min(i + 1, load.window) : i + 1;
  const double us = time_us(
      [&](cudaStream_t stream, int) {
        require(prefill_attention(shape, chunks, cache, q.get(), static_cast<std::int64_t>(row_elements),
                                  out.get(), stream));
      },
      4, 9);
  std::printf("%-40s %10.1f us %7.1f TFLOP/s\n", load.name, us,
              pairs * load.chunks * row_elements * 4.0 / us / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  if (argc > 1 && !quick) wanted = argv[1];
  measure({"8B, 1 x 8192", 32, 8, 128, 1, 0, 8192});
  if (quick) return 0;
  measure({"8B, 1 x 2048", 32, 8, 128, 1, 0, 2048});
  measure({"8B, 1 x 2048 after 1024", 32, 8, 128, 1, 1024, 2048});
  measure({"8B, 1 x 2048 after 16000", 32, 8, 128, 1, 16000, 2048});
  measure({"8B, 1 x 1024", 32, 8, 128, 1, 0, 1024});
  measure({"8B, 1 x 512", 32, 8, 128, 1, 0, 512});
  measure({"8B, 1 x 128", 32, 8, 128, 1, 0, 128});
  measure({"8B, 1 x 128 after 16000", 32, 8, 128, 1, 16000, 128});
  measure({"8B, 1 x 320 after 16000", 32, 8, 128, 1, 16000, 320});
  measure({"8B, 7 x 300", 32, 8, 128, 7, 0, 300});
  measure({"8B, 16 x 1024", 32, 8, 128, 16, 0, 1024});
  measure({"8B, 1 x 512 after 7680", 32, 8, 128, 1, 7680, 512});
  measure({"8B, 1 x 32768", 32, 8, 128, 1, 0, 32768});
  measure({"8B, 8 x 1 after 8191", 32, 8, 128, 8, 8191, 1});
  measure({"0.6B, 1 x 8192", 16, 8, 128, 1, 0, 8192});
  measure({"0.6B, 1 x 2048", 16, 8, 128, 1, 0, 2048});
  measure({"0.6B, 7 x 300", 16, 8, 128, 7, 0, 300});
  measure({"SmolLM2, 1 x 2048", 9, 3, 64, 1, 0, 2048});
  measure({"SmolLM2, 1 x 2048 after 1024", 9, 3, 64, 1, 1024, 2048});
  measure({"SmolLM2, 7 x 300", 9, 3, 64, 7, 0, 300});
  measure({"SmolLM2, 1 x 8192", 9, 3, 64, 1, 0, 8192});
  measure({"SmolLM2, 16 x 1024", 9, 3, 64, 16, 0, 1024});
  measure({"head size 256, 1 x 8192, 8/4", 8, 4, 256, 1, 0, 8192});
  measure({"head size 256, 1 x 8192, 8/4 cap", 8, 4, 256, 1, 0, 8192, 0, 50.0f});
  measure({"8B, 1 x 8192, window 1024", 32, 8, 128, 1, 0, 8192, 1024});
  return 0;
}
