// How fast blocks go between device and host memory: copies through the executor, out and back, beside no step.
// Thread safety: one thread, which has the executor for itself.
#pragma once

#include "execute/executor.hpp"

namespace serveloop::experiment {

struct CopyRate {
  double out_gb_per_s = 0, in_gb_per_s = 0;  // 10^9 bytes a second, medians of a few passes
};

// Of the first `blocks` blocks of both tiers, `block_bytes` each. Requires that nothing is in flight. Fails where a copy does.
Result<CopyRate> run_copies(execute::Executor& executor, std::uint32_t blocks, std::uint64_t block_bytes);

}  // namespace serveloop::experiment
