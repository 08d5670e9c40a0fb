// Norms, activations and the embedding look-up against plain F64, at sizes that divide nothing; rows alone and in
// a batch, at aligned and unaligned addresses, to the bit. `quick`: fewer sizes, for a slow tool.
#include <cstring>

#include "check.cuh"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/norm.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

constexpr double tolerance = 4e-3;  // one rounding to BF16, or two

void compare(const std::vector<bf16>& out, const std::vector<double>& expected, const std::string& what) {
  const double error = distance(out.data(), expected.data(), expected.size());
  check(error < tolerance, what + ": distance " + std::to_string(error));
}

void normalise(std::vector<double>& x, const std::vector<bf16>& weight, int hidden, double eps,
               double offset) {
  for (std::size_t row = 0; row < x.size() / hidden; ++row) {
    double sum = 0.0;
    for (int i = 0; i < hidden; ++i) sum += x[row * hidden + i] * x[row * hidden + i];
    const double factor = 1.0 / std::sqrt(sum / hidden + eps);
    for (int i = 0; i < hidden; ++i) x[row * hidden + i] *= factor * (value(weight[i]) + offset);
  }
}

void test_norm(int rows, int hidden, float offset) {
  const std::string what = "norm " + std::to_string(rows) + " x " + std::to_string(hidden);
  const std::size_t size = static_cast<std::size_t>(rows) * hidden;
  const std::vector<bf16> x = random_vector(size, 1, 3.0f), before = random_vector(size, 2),
                          w = random_vector(hidden, 3);
  const Buffer<bf16> delta(x), weight(w);
  Buffer<bf16> residual(before), out(size), plain(size);
  out.poison();
  plain.poison();
  require(rms_norm(delta.get(), weight.get(), plain.get(), rows, hidden, 1e-5f, offset, nullptr));
  require(add_rms_norm(residual.get(), delta.get(), weight.get(), out.get(), rows, hidden, 1e-5f, offset,
                       nullptr));
  require(cudaDeviceSynchronize(), "norm");
  std::vector<double> expected(size), sum(size), normed(size);
  for (std::size_t i = 0; i < size; ++i) {
    expected[i] = value(x[i]);
    sum[i] = value(before[i]) + value(x[i]);
    normed[i] = value(__float2bfloat16_rn(static_cast<float>(sum[i])));
  }
  normalise(expected, w, hidden, 1e-5, offset);
  normalise(normed, w, hidden, 1e-5, offset);
  compare(plain.take(), expected, what);
  compare(residual.take(), sum, what + ", residual");
  compare(out.take(), normed, what + ", after the sum");
  // The last row alone, at an odd address: another way to load, the same bits.
  const std::vector<bf16> batch = plain.take();
  std::vector<bf16> shifted(hidden + 1);
  std::copy(x.end() - hidden, x.end(), shifted.begin() + 1);
  const Buffer<bf16> odd(shifted);
  Buffer<bf16> alone(hidden + 1);
  alone.poison();
  require(rms_norm(odd.get() + 1, weight.get(), alone.get() + 1, 1, hidden, 1e-5f, offset, nullptr));
  check(same_bits(alone.take().data() + 1, batch.data() + size - hidden, hidden),
        what + ": alone and in the batch");
}

void test_gate(Gate gate, int rows, int size) {
  const std::string what = "gate " + std::to_string(static_cast<int>(gate)) + ", " + std::to_string(size);
  std::vector<bf16> in = random_vector(static_cast<std::size_t>(rows) * 2 * size, 5, 3.0f);
  in[0] = __float2bfloat16_rn(-3000.0f);  // e^3000 is no number
  in[1] = __float2bfloat16_rn(3000.0f);
  const Buffer<bf16> gate_up(in);
  Buffer<bf16> out(static_cast<std::size_t>(rows) * size);
  out.poison();
  require(gated_activation(gate, gate_up.get(), out.get(), rows, size, nullptr));
  std::vector<double> expected(out.size());
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < size; ++i) {
      const double x = value(in[static_cast<std::size_t>(row) * 2 * size + i]);
      const double act = gate == Gate::swish
                             ? x / (1.0 + std::exp(-x))
                             : x / 2 * (1.0 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      expected[static_cast<std::size_t>(row) * size + i] =
          act * value(in[static_cast<std::size_t>(row) * 2 * size + size + i]);
    }
  }
  const std::vector<bf16> all = out.take();
  compare({all.begin() + 2, all.end()}, {expected.begin() + 2, expected.end()}, what);
  check(value(all[0]) == 0.0 && std::fabs(value(all[1]) / expected[1] - 1.0) < tolerance, what + ", far out");
}

void test_embedding(int hidden, float scale) {
  const int vocabulary = 37;
  const std::vector<bf16> table = random_vector(static_cast<std::size_t>(vocabulary) * hidden, 9);
  const std::vector<std::int32_t> id = {0, 36, -1, 5, 37, 5};
  const Buffer<bf16> rows(table);
  const Buffer<std::int32_t> ids(id);
  Buffer<bf16> out(id.size() * hidden);
  out.poison();
  require(gather_embedding(rows.get(), ids.get(), out.get(), static_cast<int>(id.size()), vocabulary, hidden,
                           scale, nullptr));
  const std::vector<bf16> got = out.take();
  bool good = true;
  for (std::size_t row = 0; row < id.size(); ++row) {
    for (int i = 0; i < hidden; ++i) {
      const bool known = id[row] >= 0 && id[row] < vocabulary;
      const float expected =
          known ? static_cast<float>(value(table[static_cast<std::size_t>(id[row]) * hidden + i])) * scale
                : 0.0f;
      good = good && value(got[row * hidden + i]) == value(__float2bfloat16_rn(expected));
    }
  }
  check(good, "embedding of " + std::to_string(hidden));
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  for (const int hidden : {1, 7, 8, 64, 100, 576, 1000, 1024, 4096, 8192, 9001, 16384, 32768}) {
    if (quick && hidden != 7 && hidden != 576 && hidden != 9001 && hidden != 32768) continue;
    test_norm(1, hidden, 0.0f);
    test_norm(5, hidden, 1.0f);
  }
  for (const int size : {8, 13, 1536, 3072, 5001, 14336}) {
    if (quick && size > 5001) continue;
    test_gate(Gate::swish, 3, size);
    test_gate(Gate::gelu_tanh, 3, size);
  }
  for (const int hidden : {8, 15, 576, 1025, 4096}) {
    test_embedding(hidden, 1.0f);
    test_embedding(hidden, 24.0f);
  }
  check(!rms_norm(nullptr, nullptr, nullptr, 1, 0, 1e-5f, 0.0f, nullptr).ok(), "a row of nothing was taken");
  check(rms_norm(nullptr, nullptr, nullptr, 0, 8, 1e-5f, 0.0f, nullptr).ok(), "no rows");
  return report(quick ? "rows, quick" : "rows");
}
