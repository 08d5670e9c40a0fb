#include "experiment/copy_runner.hpp"

#include <fmt/format.h>
#include <serveloop/rows.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace serveloop::experiment {
namespace {

constexpr std::size_t kPasses = 5;

// Of block i to block i, for all; returns ns.
Result<double> move_all(execute::Executor& executor, std::uint32_t blocks, std::uint8_t from,
                        std::uint8_t to) {
  std::vector<execute::BlockCopy> copies;
  for (std::uint32_t i = 0; i < blocks; ++i) copies.push_back({i, i, from, to});
  const auto step =
      [&](std::span<const execute::BlockCopy> of) {  // without rows it waits for a copy, if one is pending
        executor.submit({0, 0, 0, 0, {}, {}, of, {}});
        return executor.collect();
      };
  const std::uint64_t end = step({}).copies_ended + blocks;
  const auto begun = std::chrono::steady_clock::now();
  for (bool first = true;; first = false) {
    const execute::Collected done = step(first ? copies : std::span<const execute::BlockCopy>());
    if (done.failed || !done.copies_failed.empty())
      return fail("a copy between device and host memory", "one that works",
                  done.failed ? done.why : "one that failed");
    if (done.copies_ended >= end) break;
  }
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

Result<CopyRate> run_copies(execute::Executor& executor, std::uint32_t blocks, std::uint64_t block_bytes) {
  std::array<double, kPasses> out{}, in{};
  for (std::size_t pass = 0; pass <= kPasses; ++pass) {
    const Result<double> out_ns = move_all(executor, blocks, SL_TIER_DEVICE, SL_TIER_HOST);
    if (!out_ns) return tl::unexpected(out_ns.error());
    const Result<double> in_ns = move_all(executor, blocks, SL_TIER_HOST, SL_TIER_DEVICE);
    if (!in_ns) return tl::unexpected(in_ns.error());
    if (pass == 0) continue;  // it warms up
    out[pass - 1] = static_cast<double>(blocks * block_bytes) / *out_ns;
    in[pass - 1] = static_cast<double>(blocks * block_bytes) / *in_ns;
  }
  std::sort(out.begin(), out.end());
  std::sort(in.begin(), in.end());
  return CopyRate{out[kPasses / 2], in[kPasses / 2]};
}

}  // namespace serveloop::experiment
