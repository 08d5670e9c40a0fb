// Executors by name.
#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute {

struct Sizes {
  Clock& clock;
  sl_cost cost;
  std::uint32_t lag, max_sequences, block_tokens, blocks, host_blocks;
};

Result<std::unique_ptr<Executor>> make_executor(const std::string& name, const Sizes& sizes);

}  // namespace serveloop::execute
