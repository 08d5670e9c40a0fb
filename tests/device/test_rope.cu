// rope_and_store() against plain F64: both layouts, QK norms, unused rows, the slots of a shuffled cache; and the
// table with Llama 3's scaling. `quick`: one layout a head size, for a slow tool.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "check.cuh"
#include "kernels/cuda/rope.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Inputs {
  std::vector<bf16> qkv, q_norm, k_norm;
  std::vector<double> frequency;
  std::vector<std::int32_t> position = {0, 33, -1, 17, 1000}, table_row = {2, 0, 1, 2, 1}, table;
  int stride = 70;
  int heads(const RopeJob& job) const { return job.q_heads + 2 * job.kv_heads; }
};

// One head of one token as it should come out.
std::vector<double> reference_head(const RopeJob& job, const Inputs& in, int token, int head) {
  const int dim = job.head_dim;
  std::vector<double> x(dim);
  for (int i = 0; i < dim; ++i)
    x[i] = value(in.qkv[(static_cast<std::size_t>(token) * in.heads(job) + head) * dim + i]);
  if (head >= job.q_heads + job.kv_heads) return x;
  const std::vector<bf16>& weight = head < job.q_heads ? in.q_norm : in.k_norm;
  if (!weight.empty()) {
    double sum = 0.0;
    for (const double y : x) sum += y * y;
    for (int i = 0; i < dim; ++i)
      x[i] *= (value(weight[i]) + job.norm_weight_offset) / std::sqrt(sum / dim + job.norm_eps);
  }
  std::vector<double> out(dim);
  for (int i = 0; i < dim / 2; ++i) {
    const double angle = in.position[token] * in.frequency[i];
    const int a = job.pairs == RopePairs::halves ? i : 2 * i;
    const int b = job.pairs == RopePairs::halves ? i + dim / 2 : 2 * i + 1;
    out[a] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
    out[b] = x[b] * std::cos(angle) + x[a] * std::sin(angle);
  }
  return out;
}

void compare(const RopeJob& job, const Inputs& in, const std::vector<bf16>& qkv, const std::vector<bf16>& k,
             const std::vector<bf16>& v, const std::string& what) {
  std::size_t written = 0;
  for (std::size_t token = 0; token < in.position.size(); ++token) {
    for (int head = 0; head < in.heads(job); ++head) {
      const std::size_t at = (token * in.heads(job) + head) * job.head_dim;
      const bf16* out = qkv.data() + at;
      if (in.position[token] < 0) {
        check(same_bits(out, in.qkv.data() + at, job.head_dim), what + ": an unused row was turned");
        continue;
      }
      if (head >= job.q_heads) {
        const int kv_head = (head - job.q_heads) % job.kv_heads;
        const int block = in.table[in.table_row[token] * in.stride + in.position[token] / job.block_tokens];
        const std::vector<bf16>& cache = head < job.q_heads + job.kv_heads ? k : v;
        out = cache.data() + block * job.block_stride +
              (static_cast<std::size_t>(kv_head) * job.block_tokens + in.position[token] % job.block_tokens) *
                  job.head_dim;
        written += job.head_dim;
      }
      const std::vector<double> expected = reference_head(job, in, static_cast<int>(token), head);
      const double error = distance(out, expected.data(), expected.size());
      check(error < 4e-3, what + " token " + std::to_string(token) + " head " + std::to_string(head) +
                              ": distance " + std::to_string(error));
    }
  }
  std::size_t touched = 0;
  for (const std::vector<bf16>* cache : {&k, &v})
    touched += std::count_if(cache->begin(), cache->end(), [](bf16 x) { return bits(x) != 0xffff; });
  check(touched == written, what + ": other slots were written");
}

void test(int q_heads, int kv_heads, int dim, int block_tokens, RopePairs pairs, bool norms) {
  RopeJob job;
  job.q_heads = q_heads;
  job.kv_heads = kv_heads;
  job.head_dim = dim;
  job.block_tokens = block_tokens;
  job.pairs = pairs;
  job.norm_weight_offset = norms ? 1.0f : 0.0f;
  Inputs in;
  job.tokens = static_cast<int>(in.position.size());
  job.table_stride = in.stride;
  job.block_stride = static_cast<std::int64_t>(kv_heads) * block_tokens * dim + 8;
  in.qkv = random_vector(static_cast<std::size_t>(job.tokens) * in.heads(job) * dim, 11, 2.0f);
  if (norms) in.q_norm = random_vector(dim, 12, 0.3f), in.k_norm = random_vector(dim, 13, 0.3f);
  in.table.resize(3 * in.stride);
  std::iota(in.table.begin(), in.table.end(), 0);
  std::shuffle(in.table.begin(), in.table.end(), std::mt19937_64(dim));
  in.frequency = rope_frequencies(dim, 500000.0, {8.0, 1.0, 4.0, 8192.0});
  const Buffer<double> frequency(in.frequency);
  const Buffer<float2> angles(static_cast<std::size_t>(1001) * dim / 2);
  require(fill_rope_table(frequency.get(), 1001, dim, angles.get(), nullptr));
  const Buffer<std::int32_t> position(in.position), row(in.table_row), table(in.table);
  const Buffer<bf16> qkv(in.qkv), q_norm(in.q_norm), k_norm(in.k_norm);
  Buffer<bf16> k(job.block_stride * in.table.size()), v(k.size());
  k.poison();
  v.poison();
  job.q_norm = q_norm.get();
  job.k_norm = k_norm.get();
  job.table = angles.get();
  job.position = position.get();
  job.table_row = row.get();
  job.block_table = table.get();
  job.qkv = qkv.get();
  job.k_cache = k.get();
  job.v_cache = v.get();
  require(rope_and_store(job, nullptr));
  require(cudaDeviceSynchronize(), "rope");
  compare(job, in, qkv.take(), k.take(), v.take(),
          "rope " + std::to_string(dim) + (pairs == RopePairs::halves ? " halves" : " neighbours"));
}

// Llama 3.1's published rule at its three regions, worked out by hand for head_dim 128, theta 500,000.
void test_frequencies() {
  const std::vector<double> plain = rope_frequencies(128, 500000.0, {});
  const std::vector<double> scaled = rope_frequencies(128, 500000.0, {8.0, 1.0, 4.0, 8192.0});
  check(plain[0] == 1.0 && std::fabs(plain[32] - 1.0 / std::sqrt(500000.0)) < 1e-12, "plain frequencies");
  check(scaled[0] == plain[0] && scaled[28] == plain[28], "high frequencies stay");  // waves of 6 and 1,957
  check(std::fabs(scaled[63] * 8.0 - plain[63]) < 1e-18, "low frequencies are divided");
  const double wave = 6.283185307179586 / plain[32];  // 4,443: between 8192 / 4 and 8192
  const double smooth = (8192.0 / wave - 1.0) / 3.0;
  check(std::fabs(scaled[32] - ((1 - smooth) * plain[32] / 8 + smooth * plain[32])) < 1e-15,
        "between the two");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  for (const RopePairs pairs : {RopePairs::halves, RopePairs::neighbours}) {
    for (const int dim : {64, 128, 256}) {
      if (quick && (pairs == RopePairs::halves) != (dim == 128)) continue;
      test(9, 3, dim, 16, pairs, false);
      test(4, 1, dim, 32, pairs, true);
    }
  }
  test_frequencies();
  return report(quick ? "rope, quick" : "rope");
}
