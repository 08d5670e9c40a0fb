// The random data that kernels are measured on, and the read of memory: every element is set, deviations are as asked, a
// seed gives the same bits again, the read leaves all memory as it was, and the copy is one.
#include "check.cuh"
#include "kernels/cuda/limits.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

void test_fill(std::size_t size, float deviation) {
  Buffer<bf16> out(size), again(size), other(size);
  for (Buffer<bf16>* one : {&out, &again, &other}) one->poison();
  require(fill_random(out.get(), size, 1, deviation, nullptr));
  require(fill_random(again.get(), size, 1, deviation, nullptr));
  require(fill_random(other.get(), size, 2, deviation, nullptr));
  const std::vector<bf16> a = out.take(), b = again.take(), c = other.take();
  double sum = 0.0, squares = 0.0;
  for (const bf16 x : a) sum += value(x), squares += value(x) * value(x);
  const double n = static_cast<double>(size), bound = 5.0 * deviation / std::sqrt(n);
  const std::string name = "fill of " + std::to_string(size);
  check(std::abs(sum / n) <= bound, name + ": mean");
  check(std::abs(std::sqrt(squares / n) - deviation) <= bound + 0.01 * deviation, name + ": deviation");
  check(same_bits(a.data(), b.data(), size), name + ": the same seed");
  check(size < 8 || !same_bits(a.data(), c.data(), size), name + ": another seed");
}

void test_read(std::size_t elements, int blocks) {
  const Buffer<bf16> in(elements);
  Buffer<uint4> sink(1);
  sink.poison();
  fill(in.get(), elements, 3);
  const std::vector<bf16> before = in.take();
  require(read_memory(in.get(), elements * 2, blocks, sink.get(), nullptr));
  const std::vector<bf16> after = in.take();
  check(same_bits(before.data(), after.data(), elements), "read: memory as it was");
  check(sink.take()[0].x == 0xffffffffu, "read: nothing written");
}

void test_copy(std::size_t elements, int blocks) {
  const Buffer<bf16> in(elements);
  Buffer<bf16> out(elements + 8);
  out.poison();
  fill(in.get(), elements, 4);
  require(copy_memory(in.get(), out.get(), elements * 2, blocks, nullptr));
  const std::vector<bf16> from = in.take(), to = out.take();
  check(same_bits(from.data(), to.data(), elements), "copy: all of it");
  check(bits(to[elements]) == 0xffff, "copy: nothing behind it");
}

}  // namespace

int main() {
  for (const std::size_t size : {1, 7, 255, 4096, 1000003}) test_fill(size, size % 2 == 0 ? 0.02f : 1.0f);
  for (const int blocks : {1, 132, 4224}) {
    test_read(8, blocks);
    test_read(std::size_t{3} << 20, blocks);
    test_copy(8, blocks);
    test_copy((std::size_t{3} << 20) + 8, blocks);
  }
  Buffer<uint4> sink(1);
  check(!read_memory(sink.get(), 8, 1, sink.get(), nullptr).ok(),
        "a size that 16 does not divide is refused");
  check(!fill_random(nullptr, 8, 1, 1.0f, nullptr).ok(), "no memory is refused");
  return report("limits");
}
