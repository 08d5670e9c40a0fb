// How fast random weights are made and rows dequantised, in CPU time of one thread.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "model/dequantise.hpp"
#include "model/random_weights.hpp"

using namespace serveloop::model;

namespace {

double thread_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double seconds(Work&& work) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double start = thread_seconds();
    work();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
}

}  // namespace

int main() {
  constexpr std::size_t kValues = std::size_t{1} << 24;
  Architecture a;
  a.hidden = 4096;
  a.layers.resize(32);
  std::vector<std::uint16_t> bits(kValues);
  const double random = seconds([&] { fill_random({Role::q, 3, 4096, 4096}, a, 7, 0, bits); });
  fmt::print("random BF16        {:7.0f} MB/s\n", 2e-6 * kValues / random);
  std::vector<float> out(kValues);
  for (std::size_t type = 0; type < kTypes; ++type) {
    const std::vector<std::byte> data(row_bytes(static_cast<Type>(type), kValues), std::byte{0x35});
    const double took =
        seconds([&] { dequantise(static_cast<Type>(type), data.data(), kValues, out.data()); });
    fmt::print("dequantise {:4}    {:7.0f} million values/s\n", kTypeInfo[type].name, 1e-6 * kValues / took);
  }
}
