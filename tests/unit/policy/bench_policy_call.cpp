// What a policy call costs beyond the call itself: a plan of 1 and of 64 entries asked for in this program
// and through an instance, in interleaved rounds; prints the median difference per call.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "folder.hpp"

namespace serveloop::policy::testing {
namespace {

constexpr int kCalls = 20000, kRounds = 101;

// As in probe.cpp.
__attribute__((noinline)) std::int32_t direct(void* self, const sl_view* view, sl_out* rows, sl_out*) {
  ++*static_cast<std::uint64_t*>(self);
  std::memset(rows->base, 0, rows->stride);
  *static_cast<sl_seq*>(rows->base) = view->step;
  rows->count = 1;
  return SL_OK;
}

template <class Call>
double ns_per_call(Call&& call) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) call();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return took.count() / kCalls;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

int run() {
  const Folder folder;
  const auto loaded =
      Host(only("/nonexistent")).load_scheduler(choice(folder.plugin("p", manifest_text())), {});
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message().c_str());
    return 1;
  }
  Buffers b;
  std::uint64_t self = 0;
  std::vector<double> differences, through;
  for (int round = 0; round < kRounds; ++round) {
    const double here = ns_per_call([&] {
      direct(&self, &b.view, &b.rows, &b.gauges);
      asm volatile("" ::: "memory");
    });
    const double there = ns_per_call([&] {
      (*loaded)->plan(b.view, b.rows, b.gauges);
      asm volatile("" ::: "memory");
    });
    differences.push_back(there - here);
    through.push_back(there);
  }
  std::printf("{\"name\":\"policy_call_overhead_ns\",\"value\":%.2f,\"call_ns\":%.2f}\n", median(differences),
              median(through));
  return 0;
}

}  // namespace
}  // namespace serveloop::policy::testing

int main() { return serveloop::policy::testing::run(); }
