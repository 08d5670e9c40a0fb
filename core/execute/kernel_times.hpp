// How long an executor's kernels take by themselves, and what the device can do at most: plain values, for whoever has no
// device too. A kernel's floor is that of the roofline (Williams, Waterman and Patterson, 2009).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace serveloop::execute {

// Which sizes are measured.
struct KernelSizes {
  std::vector<std::uint32_t> decodes;  // sequences of decode steps, each with `keys` keys
  std::uint32_t chunk_tokens = 0;      // of a prefill step, after no keys and after `keys`; 0: none
  std::uint32_t keys = 0;              // at least 1
  std::uint32_t block_tokens = 16;
};

// Measured in the same run, on random data.
struct KernelLimits {
  double read_bytes_per_s = 0, copy_bytes_per_s = 0;  // of a copy: bytes read and written
  double product_flops_per_s = 0;                     // of one large product
  double bytes_per_s() const { return std::max(read_bytes_per_s, copy_bytes_per_s); }
};

struct KernelTime {
  std::string step;          // "decode" or "prefill"
  std::string kernel;        // "qkv", "attention"
  std::uint32_t tokens = 0;  // rows that it computes
  std::uint64_t keys = 0;    // that each sequence has, the tokens' own among them; 0: no matter
  double us = 0;             // one launch among its like, median
  double bytes = 0;          // the fewest it must read and write
  double flops = 0;          // of its products; 0: it has none
};

struct KernelReport {
  std::string device;
  KernelLimits limits;
  std::vector<KernelTime> times;
  std::string note;   // for the log; mostly empty
  bool whole = true;  // false: stopped before the end
};

// What the limits leave of a launch's time, in microseconds.
inline double floor_us(const KernelTime& time, const KernelLimits& limits) {
  const double moved = limits.bytes_per_s() > 0 ? time.bytes / limits.bytes_per_s() : 0;
  const double computed = limits.product_flops_per_s > 0 ? time.flops / limits.product_flops_per_s : 0;
  return 1e6 * std::max(moved, computed);
}

// Called with the share that is done; false: stop.
using KernelProgress = std::function<bool(double)>;

}  // namespace serveloop::execute
