// linear() against sums in F64, the bits of a row under other row counts, neighbours and cuts of the columns, and
// its ends against the separate kernels. `quick`: small shapes, for a slow tool.
#include <cstring>

#include "check.cuh"
#include "kernels/cuda/linear.hpp"
#include "kernels/cuda/norm.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

struct Shape {
  int n, k;
};

std::string name_of(const Shape& s, int rows) {
  return std::to_string(rows) + " x " + std::to_string(s.n) + " x " + std::to_string(s.k);
}

LinearJob job_of(const Shape& s, const Buffer<bf16>& x, const Buffer<bf16>& weight, int rows) {
  LinearJob job;
  job.x = x.get();
  job.weight = weight.get();
  job.x_stride = s.k;
  job.out_stride = s.n;
  job.rows = rows;
  job.n = s.n;
  job.k = s.k;
  return job;
}

std::vector<bf16> run(LinearJob job, std::size_t size, const std::vector<bf16>* before = nullptr) {
  Buffer<bf16> out(size);
  out.poison();
  if (before != nullptr) out.put(*before);
  job.out = out.get();
  require(linear(job, nullptr));
  require(cudaDeviceSynchronize(), "linear");
  return out.take();
}

void test_values(const Shape& s, int rows) {
  const std::string what = "linear " + name_of(s, rows);
  const std::vector<bf16> x = random_vector(static_cast<std::size_t>(rows) * s.k, 1),
                          w = random_vector(static_cast<std::size_t>(s.n) * s.k, 2, 0.1f),
                          b = random_vector(s.n, 3);
  const Buffer<bf16> rows_in(x), weight(w), bias(b);
  LinearJob job = job_of(s, rows_in, weight, rows);
  const std::size_t size = static_cast<std::size_t>(rows) * s.n;
  std::vector<double> expected(size), biased(size);
  for (std::size_t i = 0; i < size; ++i) {
    double sum = 0.0;
    for (int j = 0; j < s.k; ++j) sum += value(x[i / s.n * s.k + j]) * value(w[i % s.n * s.k + j]);
    expected[i] = sum;
    biased[i] = sum + value(b[i % s.n]);
  }
  const std::vector<bf16> out = run(job, size);
  check(distance(out.data(), expected.data(), size) < 4e-3, what);
  Buffer<float> wide(size);
  wide.poison();
  job.out = wide.get();
  job.end = LinearEnd::store_f32;
  require(linear(job, nullptr));
  bool rounds_to_out = true;
  const std::vector<float> sums = wide.take();
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < size; ++i) {
    rounds_to_out = rounds_to_out && bits(__float2bfloat16_rn(sums[i])) == bits(out[i]);
    error += (sums[i] - expected[i]) * (sums[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  check(rounds_to_out, what + ": F32 and BF16 differ by more than the rounding");
  check(std::sqrt(error / norm) < 1e-5,
        what + " in F32: distance " + std::to_string(std::sqrt(error / norm)));
  job.bias = bias.get();
  job.end = LinearEnd::store;
  check(distance(run(job, size).data(), biased.data(), size) < 4e-3, what + ", with bias");
}

// Each row alone, windows of rows, and columns of a smaller matrix, which is cut otherwise.
void test_bits(const Shape& s, int rows) {
  const Buffer<bf16> x(static_cast<std::size_t>(rows) * s.k), weight(static_cast<std::size_t>(s.n) * s.k);
  fill(x.get(), x.size(), 4, 3.0f);
  fill(weight.get(), weight.size(), 5);
  const LinearJob job = job_of(s, x, weight, rows);
  const std::vector<bf16> all = run(job, static_cast<std::size_t>(rows) * s.n);
  for (const int some : {1, 2, 7, 8, 9, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 200}) {
    if (some >= rows) continue;
    for (const int at : {0, (rows - some) / 2, rows - some}) {
      LinearJob part = job;
      part.rows = some;
      part.x += static_cast<std::size_t>(at) * s.k;
      check(same_bits(run(part, static_cast<std::size_t>(some) * s.n).data(),
                      all.data() + static_cast<std::size_t>(at) * s.n, static_cast<std::size_t>(some) * s.n),
            "linear " + name_of(s, rows) + ": " + std::to_string(some) + " rows from " + std::to_string(at) +
                " differ");
    }
  }
  for (const int n : {8, 100, s.n / 2}) {
    if (n < 1 || n > s.n) continue;
    LinearJob part = job;
    part.n = n;
    part.out_stride = s.n;
    const std::vector<bf16> out = run(part, all.size());
    bool same = true;
    for (int row = 0; row < rows; ++row)
      same = same && same_bits(out.data() + static_cast<std::size_t>(row) * s.n,
                               all.data() + static_cast<std::size_t>(row) * s.n, n);
    check(same, "linear " + name_of(s, rows) + ": the first " + std::to_string(n) + " columns alone differ");
    bool untouched = n == s.n || bits(out[n]) == 0xffff;
    check(untouched, "linear " + name_of(s, rows) + ": wrote past its columns");
  }
}

void test_ends(const Shape& s, int rows) {
  const std::string what = "linear " + name_of(s, rows);
  const std::size_t size = static_cast<std::size_t>(rows) * s.n;
  const Buffer<bf16> x(random_vector(static_cast<std::size_t>(rows) * s.k, 6)),
      weight(random_vector(static_cast<std::size_t>(s.n) * s.k, 7, 0.1f)), bias(random_vector(s.n, 8));
  const std::vector<bf16> before = random_vector(size, 9);
  for (const bool biased : {false, true}) {
    LinearJob job = job_of(s, x, weight, rows);
    if (biased) job.bias = bias.get();
    const Buffer<bf16> product(run(job, size));
    const Buffer<bf16> residual(before), scale(s.n), normed(size);
    fill(scale.get(), scale.size(), 1);
    if (s.n <= 32768) {
      require(add_rms_norm(residual.get(), product.get(), scale.get(), normed.get(), rows, s.n, 1e-5f, 0.0f,
                           nullptr));
      LinearJob adding = job;
      adding.end = LinearEnd::add;
      check(same_bits(run(adding, size, &before).data(), residual.take().data(), size),
            what + ": add differs from add_rms_norm()");
    }
    if (s.n % 2 != 0) continue;
    for (const Gate gate : {Gate::swish, Gate::gelu_tanh}) {
      const Buffer<bf16> gated(size / 2);
      require(gated_activation(gate, product.get(), gated.get(), rows, s.n / 2, nullptr));
      LinearJob gating = job;
      gating.end = LinearEnd::gate;
      gating.gate = gate;
      gating.out_stride = s.n / 2;
      check(same_bits(run(gating, size / 2).data(), gated.take().data(), size / 2),
            what + ": gate differs from gated_activation()");
    }
  }
}

// A chain of products of which each starts before the one before it has ended, as a graph, three times.
void test_early(int rows) {
  const Shape wide{1536, 576}, narrow{576, 1536};
  const Buffer<bf16> a(static_cast<std::size_t>(rows) * 576), up(static_cast<std::size_t>(1536) * 576),
      down(up.size());
  fill(a.get(), a.size(), 10);
  fill(up.get(), up.size(), 11, 0.04f);
  fill(down.get(), down.size(), 12, 0.03f);
  std::vector<bf16> results[2];
  for (const bool early : {false, true}) {
    Buffer<bf16> here(a.take()), there(static_cast<std::size_t>(rows) * 1536);
    there.poison();
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    require(cudaStreamCreate(&stream), "stream");
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
    for (int i = 0; i < 20; ++i) {
      LinearJob job = job_of(wide, here, up, rows);
      job.out = there.get();
      job.early = early;
      require(linear(job, stream));
      job = job_of(narrow, there, down, rows);
      job.out = here.get();
      job.early = early;
      require(linear(job, stream));
    }
    require(cudaStreamEndCapture(stream, &graph), "capture");
    require(cudaGraphInstantiate(&ready, graph, 0), "graph");
    for (int i = 0; i < 3; ++i) require(cudaGraphLaunch(ready, stream), "launch");
    require(cudaStreamSynchronize(stream), "chain");
    results[early] = here.take();
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  }
  bool finite = true;
  for (const bf16 x : results[0]) finite = finite && std::isfinite(value(x)) && value(x) != 0.0;
  check(finite, "the chain of " + std::to_string(rows) + " rows has no values");
  check(same_bits(results[0].data(), results[1].data(), results[0].size()),
        "a chain of " + std::to_string(rows) + " rows that starts early differs");
}

void test_refusals() {
  const Buffer<bf16> data(64 * 64);
  LinearJob good = job_of({16, 64}, data, data, 4);
  good.out = data.get();
  good.rows = 0;
  check(linear(good, nullptr).ok(), "no rows were refused");
  const auto refused = [&](auto change) {
    LinearJob job = good;
    job.rows = 4;
    change(job);
    return !linear(job, nullptr).ok();
  };
  check(refused([](LinearJob& j) { j.rows = 257; }), "257 rows were taken");
  check(refused([](LinearJob& j) { j.k = 12; }), "k 12 was taken");
  check(refused([](LinearJob& j) { j.n = 0; }), "no columns were taken");
  check(refused([](LinearJob& j) { j.x_stride = 56; }), "x_stride below k was taken");
  check(refused([](LinearJob& j) { j.x += 1; }), "an odd x was taken");
  check(refused([](LinearJob& j) { j.weight += 1; }), "an odd weight was taken");
  check(refused([](LinearJob& j) { j.out_stride = 15; }), "out_stride below n was taken");
  check(refused([](LinearJob& j) { j.n = 15, j.end = LinearEnd::gate; }), "an odd gate was taken");
}

// A norm on the way in, against rms_norm() before.
void test_norm_in(const Shape& s, int rows, LinearEnd end, float offset) {
  const std::string what = "norm, then " + name_of(s, rows) + (end == LinearEnd::gate ? ", gate" : "");
  const Buffer<bf16> x(random_vector(static_cast<std::size_t>(rows) * s.k, 1, 3.0f)),
      norm(random_vector(s.k, 2)), weight(random_vector(static_cast<std::size_t>(s.n) * s.k, 3, 0.1f)),
      bias(random_vector(s.n, 4));
  Buffer<bf16> normed(static_cast<std::size_t>(rows) * s.k);
  normed.poison();
  require(rms_norm(x.get(), norm.get(), normed.get(), rows, s.k, 1e-5f, offset, nullptr));
  LinearJob job = job_of(s, normed, weight, rows);
  job.end = end;
  job.bias = bias.get();
  if (end == LinearEnd::gate) job.out_stride = s.n / 2;
  const std::size_t size = static_cast<std::size_t>(rows) * job.out_stride;
  const std::vector<bf16> expected = run(job, size);
  job.x = x.get();
  job.norm = {norm.get(), 1e-5f, offset};
  check(takes_norm(job), what + ": not taken");
  if (!takes_norm(job)) return;
  for (const bool early : {false, true}) {
    job.early = early;
    check(same_bits(run(job, size).data(), expected.data(), size), what + (early ? ", early" : ""));
  }
}

void test_norms_in(bool quick) {
  for (const Shape& s : {Shape{8, 64}, Shape{26, 192}, Shape{960, 576}, Shape{3072, 576}, Shape{130, 832},
                         Shape{4096, 1024}, Shape{300, 1088}, Shape{96, 1984}, Shape{1000, 2048}}) {
    if (quick && s.n * s.k > 100000) continue;
    for (const int rows : {1, 2}) {
      test_norm_in(s, rows, LinearEnd::store, rows == 2 ? 1.0f : 0.0f);
      test_norm_in(s, rows, LinearEnd::gate, rows == 2 ? 0.0f : 1.0f);
    }
  }
  LinearJob job;
  job.rows = 1, job.n = 64, job.k = 64, job.x_stride = 64, job.out_stride = 64;
  alignas(16) static bf16 nowhere[16];
  job.norm.weight = nowhere + 1;
  check(!linear(job, nullptr).ok(), "norm weights at an odd address were taken");
  job.norm.weight = nowhere;
  job.end = LinearEnd::add;
  check(!linear(job, nullptr).ok(), "a norm and an addition were taken");
  job.end = LinearEnd::store;
  job.k = job.x_stride = 4096;
  check(!takes_norm(job) && !linear(job, nullptr).ok(), "a norm of 4,096 was taken");
  job.k = job.x_stride = 64;
  job.rows = 3;
  check(!takes_norm(job), "a norm of three rows was taken");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  if (quick) {
    for (const int rows : {1, 17, 64}) {
      test_values({72, 104}, rows);
      test_ends({66, 88}, rows);
    }
    test_values({3000, 64}, 2);
    test_values({100, 576}, 10);
    test_ends({66, 128}, 7);
    test_values({72, 104}, 100);
    test_ends({160, 136}, 70);
    test_early(9);
    test_early(70);
    test_norms_in(true);
    test_refusals();
    return report("linear, quick");
  }
  test_norms_in(false);
  const Shape odd[] = {{1, 8}, {7, 24}, {17, 40}, {72, 104}, {130, 576}, {1001, 200}, {5003, 72}};
  for (const Shape& s :
       {Shape{8, 64}, Shape{13, 192}, Shape{130, 576}, Shape{1000, 3072}, Shape{3000, 1088}}) {
    for (const int rows : {1, 8, 9, 16, 17, 32}) test_values(s, rows);
    test_ends(s, 8);
    test_ends(s, 11);
    test_ends(s, 30);
  }
  for (const Shape& s : odd) {
    for (const int rows : {1, 5, 16, 17, 40, 64, 65, 128, 129, 256}) test_values(s, rows);
    test_ends(s, 3);
    test_ends(s, 50);
    test_ends(s, 100);
    test_ends(s, 190);
  }
  for (const Shape& s : {Shape{576, 576}, Shape{960, 576}, Shape{3072, 576}, Shape{576, 1536},
                         Shape{4096, 4096}, Shape{6144, 1024}, Shape{28672, 4096}, Shape{4096, 14336},
                         Shape{49152, 576}, Shape{1001, 200}, Shape{130000, 64}})
    test_bits(s, 256);
  test_ends({3072, 576}, 33);
  test_ends({28672, 512}, 9);
  test_ends({28672, 512}, 30);
  test_ends({28672, 512}, 64);
  test_ends({28672, 512}, 128);
  test_ends({28672, 512}, 256);
  test_ends({4096, 584}, 250);
  for (const int rows : {9, 50, 128, 256}) test_early(rows);
  test_ends({4096, 584}, 128);
  test_ends({6144, 264}, 100);
  test_refusals();
  return report("linear");
}
