// Runs of the simulator, with the build's own plugins, and what they came to.
#pragma once

#include <string>
#include <vector>

#include "experiment/run.hpp"

namespace serveloop::test {

struct Ran {
  experiment::Summary summary;
  std::uint64_t plans = 0;  // hash over all plans, byte for byte
  std::uint64_t steps = 0;
};

// `toml` with `overrides` ("engine.lag=1") on top. Paths count from configs/ of the sources; the search path is the build's.
Ran simulate(const std::string& toml, const std::vector<std::string>& overrides);

}  // namespace serveloop::test
