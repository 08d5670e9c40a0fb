#include "experiment/step_plan.hpp"

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {
namespace {

constexpr std::uint32_t kShortContext = 32;  // tokens
constexpr std::uint32_t kManyPrompts = 4;    // in one step

using Numbers = std::vector<std::uint32_t>;

Numbers sorted(Numbers numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

// Both ends and the geometric middle.
Numbers spread(std::uint32_t least, std::uint32_t most) {
  least = std::min(least, most);
  return sorted({least, static_cast<std::uint32_t>(std::sqrt(double{1} * least * most)), most});
}

class Plan {
 public:
  explicit Plan(const StepLimits& limits) : l_(limits), blocks_(touched_blocks(limits)) {}

  std::vector<StepShape> make() {
    decodes();
    prefills();
    mixed();
    return std::move(shapes_);
  }

 private:
  // Positions of each of n sequences that share the touched blocks.
  std::uint32_t room(std::uint32_t n) const {
    return std::min(l_.context_tokens, blocks_ / n * l_.block_tokens);
  }
  std::uint32_t most_context(std::uint32_t n) const {
    return room(n) > kStepsAShape + 1 ? room(n) - kStepsAShape - 1 : 0;
  }
  std::uint32_t most_chunk(std::uint32_t n) const {
    return std::min(l_.token_budget / n, (room(n) - std::min(room(n), 1u)) / kStepsAShape);
  }
  Numbers chunk_sizes(std::uint32_t most) const {
    return sorted({std::max(most / 16, 1u), std::max(most / 4, 1u), std::max(most / 2, 1u), most});
  }

  void decodes() {
    // By 1.4, so that odd numbers are among them: kernels like powers of two.
    Numbers sequences{l_.max_sequences};
    for (std::uint64_t n = 1; n < l_.max_sequences; n += std::max<std::uint64_t>(1, n * 2 / 5))
      sequences.push_back(static_cast<std::uint32_t>(n));
    for (const std::uint32_t n : sorted(std::move(sequences)))
      if (const std::uint32_t most = most_context(n); most > 0)
        for (const std::uint32_t context : spread(kShortContext, most)) add({n, context, 0, 0, 0});
  }
  void prefills() {
    const std::uint32_t most = most_chunk(1);
    if (most == 0) return;
    for (const std::uint32_t tokens : chunk_sizes(most)) {
      const std::uint32_t far = room(1) - 1 - kStepsAShape * tokens;
      for (const std::uint32_t start : sorted({0, far / 2, far})) add({0, 0, 1, tokens, start});
    }
    const std::uint32_t prompts = std::min(l_.max_sequences, kManyPrompts);
    add({0, 0, prompts, most_chunk(prompts), 0});
  }
  void mixed() {
    const std::uint32_t most = std::min(l_.max_sequences, l_.token_budget) - 1;  // the chunk has a row, too
    for (const std::uint32_t n : sorted({std::min(1u, most), (most + 3) / 4, most})) {
      const std::uint32_t each = room(n + 1),
                          context = most_context(n + 1);  // the chunk counts as one of them
      if (n == 0 || context == 0) continue;
      for (const std::uint32_t tokens :
           chunk_sizes(std::min(l_.token_budget - n, (each - 1) / kStepsAShape))) {
        add({n, std::min(kShortContext, context), 1, tokens, 0});
        add({n, context, 1, tokens, (each - 1 - kStepsAShape * tokens) / 2});
      }
    }
  }

  void add(const StepShape& s) {
    const std::uint64_t tokens = s.decodes + std::uint64_t{s.chunks} * s.chunk_tokens;
    if (tokens == 0 || tokens > l_.token_budget || s.decodes + s.chunks > l_.max_sequences) return;
    if (s.chunks > 0 && (s.chunk_tokens == 0 || s.prompt_tokens() >= l_.context_tokens)) return;
    if (s.decodes > 0 && (s.context == 0 || s.decode_tokens() > l_.context_tokens)) return;
    const std::uint64_t blocks = std::uint64_t{s.decodes} * blocks_of(s.decode_tokens(), l_.block_tokens) +
                                 std::uint64_t{s.chunks} * blocks_of(s.prompt_tokens() + 1, l_.block_tokens);
    if (blocks > blocks_ || std::find(shapes_.begin(), shapes_.end(), s) != shapes_.end()) return;
    shapes_.push_back(s);
  }

  StepLimits l_;
  std::uint32_t blocks_;
  std::vector<StepShape> shapes_;
};

}  // namespace

std::uint32_t blocks_of(std::uint32_t tokens, std::uint32_t block_tokens) {
  return static_cast<std::uint32_t>((std::uint64_t{tokens} + block_tokens - 1) / block_tokens);
}

std::uint32_t touched_blocks(const StepLimits& limits) {
  return std::min(limits.blocks, blocks_of(limits.most_touched, limits.block_tokens));
}

std::vector<StepShape> step_plan(const StepLimits& limits) { return Plan(limits).make(); }

}  // namespace serveloop::experiment
