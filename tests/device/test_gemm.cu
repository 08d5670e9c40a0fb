// Gemm against linear(), row by row and to the bit, at row counts on both sides of every kind of border; what it keeps
// as text and takes up again; what it refuses. `quick`: one small shape, for a slow tool.
#include <cstring>

#include "check.cuh"
#include "kernels/cuda/gemm.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

LinearJob job_of(const GemmShape& s, const Buffer<bf16>& x, const Buffer<bf16>& weight,
                 const Buffer<bf16>& bias, int rows) {
  LinearJob job;
  job.x = x.get();
  job.weight = weight.get();
  job.bias = s.biased ? bias.get() : nullptr;
  job.x_stride = s.k;
  job.out_stride = s.n;
  job.rows = rows;
  job.n = s.n;
  job.k = s.k;
  job.end = s.f32 ? LinearEnd::store_f32 : LinearEnd::store;
  return job;
}

std::string name_of(const GemmShape& s) {
  return "gemm " + std::to_string(s.n) + " x " + std::to_string(s.k) + (s.biased ? ", bias" : "") +
         (s.f32 ? ", F32" : "");
}

void test_bits(Gemm& gemm, const GemmShape& s, int most, const std::vector<int>& counts) {
  require(gemm.plan(s, most));
  const Buffer<bf16> x(static_cast<std::size_t>(most) * s.k), weight(static_cast<std::size_t>(s.n) * s.k),
      bias(s.n);
  fill(x.get(), x.size(), 21, 2.0f);
  fill(weight.get(), weight.size(), 22, 0.1f);
  fill(bias.get(), bias.size(), 23, 3.0f);
  const Buffer<char> workspace(Gemm::workspace_bytes);
  const std::size_t row_bytes = static_cast<std::size_t>(s.n) * (s.f32 ? 4 : 2);
  Buffer<char> expected(row_bytes * most), out(row_bytes * most);
  for (int at = 0; at < most; at += linear_max_rows) {
    LinearJob part = job_of(s, x, weight, bias, std::min(linear_max_rows, most - at));
    part.x += static_cast<std::size_t>(at) * s.k;
    part.out = expected.get() + at * row_bytes;
    require(linear(part, nullptr));
  }
  const std::vector<char> reference = expected.take();
  for (const int rows : counts) {
    for (const int at : {0, most - rows}) {
      LinearJob job = job_of(s, x, weight, bias, rows);
      job.x += static_cast<std::size_t>(at) * s.k;
      job.out = out.get();
      out.poison();
      require(gemm.run(job, workspace.get(), nullptr));
      require(cudaDeviceSynchronize(), "gemm");
      const std::vector<char> got = out.take();
      check(std::memcmp(got.data(), reference.data() + at * row_bytes, rows * row_bytes) == 0,
            name_of(s) + ": " + std::to_string(rows) + " rows from " + std::to_string(at) +
                " differ from linear()");
      check(rows == most || got[rows * row_bytes] == char(0xff), name_of(s) + ": wrote past its rows");
    }
  }
}

// What one Gemm chose, another takes up and has the same bits with; broken lines change nothing.
void test_text(const Gemm& first, const GemmShape& s, int most) {
  Gemm again;
  require(again.open());
  const std::string text = first.text();
  again.recall("gemm\n\ngemm here 1 2\nno line of ours\n" + text.substr(0, text.size() / 2) + "\ngemm x" +
               text + "gemm other/132/1 64 64 0 0 16 1 0 0 0 0 0 0 0 0\n");
  again.recall(text);
  require(again.plan(s, most));
  const GemmChoice* choice = again.choice(s, most);
  check(choice != nullptr && choice->suggestions == 0 && choice->us == 0.0,
        "a choice was searched for again");
  check(!again.text().empty() &&
            text.find(again.text().substr(0, again.text().find('\n'))) != std::string::npos,
        "the text of a recalled choice differs");
  check(again.choice(s, most + 20000) == nullptr && again.choice({s.n + 8, s.k}, 1) == nullptr,
        "a choice for what was not planned");
}

void test_refusals(const Gemm& gemm, const GemmShape& s, int most) {
  const Buffer<bf16> x(static_cast<std::size_t>(most) * s.k), weight(static_cast<std::size_t>(s.n) * s.k),
      bias(s.n), out(static_cast<std::size_t>(most) * s.n);
  const Buffer<char> workspace(Gemm::workspace_bytes);
  LinearJob job = job_of(s, x, weight, bias, most);
  job.out = out.get();
  const auto refused = [&](auto change) {
    LinearJob changed = job;
    change(changed);
    return !gemm.run(changed, workspace.get(), nullptr).ok();
  };
  check(refused([](LinearJob& j) { j.n -= 8; }), "a shape that was not planned was taken");
  check(refused([](LinearJob& j) { j.rows = 20000; }), "rows that were not planned were taken");
  check(refused([](LinearJob& j) { j.end = LinearEnd::add; }), "an end that rounds otherwise was taken");
  check(refused([](LinearJob& j) { j.x_stride = 4; }), "x_stride below k was taken");
  job.rows = 0;
  check(gemm.run(job, workspace.get(), nullptr).ok(), "no rows were refused");
  Gemm closed;
  check(!closed.plan(s, 8).ok(), "a plan before open() was made");
  Gemm open;
  require(open.open());
  check(!open.plan({64, 12}, 8).ok() && !open.plan({0, 64}, 8).ok() && !open.plan({64, 64}, 20000).ok(),
        "a shape or row count that can't be planned was");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  Gemm gemm;
  require(gemm.open());
  if (quick) {
    test_bits(gemm, {72, 104}, 100, {1, 65, 100});
    return report("gemm, quick");
  }
  const std::vector<int> counts = {1,   2,   15,  16,  17,  40,  63,  64,  65,  66,  96, 97,
                                   127, 128, 129, 200, 255, 256, 257, 384, 500, 512, 600};
  for (const GemmShape& s :
       {GemmShape{576, 576}, GemmShape{960, 576}, GemmShape{1024, 3072}, GemmShape{1024, 2048},
        GemmShape{6144, 1024}, GemmShape{4096, 4096}, GemmShape{4096, 14336}, GemmShape{136, 200, true},
        GemmShape{4096, 1024, true}, GemmShape{4096, 1024, false, true}})
    test_bits(gemm, s, 600, counts);
  test_bits(gemm, {576, 1536}, 9000, {1, 1000, 2048, 4097, 9000});
  test_text(gemm, {1024, 3072}, 600);
  test_refusals(gemm, {4096, 4096}, 600);
  return report("gemm");
}
