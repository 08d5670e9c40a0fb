#include "execute/factory.hpp"

#include <fmt/format.h>

#include "execute/hash.hpp"
#include "execute/simulated.hpp"

namespace serveloop::execute {

Result<std::unique_ptr<Executor>> make_executor(const std::string& name, const Sizes& s) {
  std::unique_ptr<Executor> made;
  if (name == "simulated") made = std::make_unique<SimulatedExecutor>(s.clock, s.cost, s.max_sequences);
  if (name == "hash")
    made = std::make_unique<HashExecutor>(s.clock, s.cost, s.max_sequences, s.blocks, s.block_tokens,
                                          s.host_blocks);
  if (name == "null") made = std::make_unique<NullExecutor>(s.clock);
  if (made == nullptr)
    return fail("engine.executor", "one of simulated, hash, null", fmt::format("'{}'", name));
  return made;
}

}  // namespace serveloop::execute
