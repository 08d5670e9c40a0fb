// Which steps a calibration takes: decodes over numbers of sequences and contexts, chunks of prefill over sizes and
// starts, and both in one step, spread by powers over all that a configuration can run. Thread-safe: pure functions.
#pragma once

#include <cstdint>
#include <vector>

namespace serveloop::experiment {

inline constexpr std::uint32_t kStepsAShape = 2;  // in a row
// KV tokens, so that filling them takes no minutes: by cores, by a GPU.
inline constexpr std::uint32_t kMostTouched = 16'384, kMostTouchedByGpu = 262'144;

struct StepLimits {
  std::uint32_t max_sequences, token_budget, context_tokens, block_tokens, blocks;
  std::uint32_t most_touched = kMostTouched;
};

// `decodes` sequences decode, the first time behind `context` tokens, beside `chunks` prompts of which `chunk_tokens`
// tokens are computed, the first time from position `chunk_start`. Each step moves all of them on, and the last one
// ends the prompts.
struct StepShape {
  std::uint32_t decodes = 0, context = 0;
  std::uint32_t chunks = 0, chunk_tokens = 0, chunk_start = 0;
  bool operator==(const StepShape&) const = default;

  // Of one sequence, with the token that the last step yields.
  std::uint32_t decode_tokens() const { return context + kStepsAShape + 1; }
  std::uint32_t prompt_tokens() const { return chunk_start + kStepsAShape * chunk_tokens; }
};

std::uint32_t blocks_of(std::uint32_t tokens, std::uint32_t block_tokens);
// The blocks that a calibration uses: all, or those of most_touched tokens.
std::uint32_t touched_blocks(const StepLimits& limits);
// All shapes fit the limits and the touched blocks; none comes twice. Empty where not even one decode fits.
std::vector<StepShape> step_plan(const StepLimits& limits);

}  // namespace serveloop::experiment
