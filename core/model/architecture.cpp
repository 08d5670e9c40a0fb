// What passes check() can be given to an executor: no size is zero, no product of two sizes leaves 64 bits.
#include "model/architecture.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "model/numbers.hpp"

namespace serveloop::model {
namespace {

Status check_size(const std::string& source, const char* name, std::uint64_t value, std::uint64_t most) {
  if (value >= 1 && value <= most) return {};
  return fail(fmt::format("{}: {}", source, name), fmt::format("1 to {}", most), std::to_string(value));
}

Status check_positive(const std::string& source, const char* name, double value) {
  if (std::isfinite(value) && value > 0) return {};
  return fail(fmt::format("{}: {}", source, name), "a number above 0", fmt::format("{}", value));
}

Status check_heads(const Architecture& a, const std::string& source) {
  if (a.q_heads % a.kv_heads != 0)
    return fail(source + ": query heads", fmt::format("a multiple of the {} key heads", a.kv_heads),
                std::to_string(a.q_heads));
  if (a.head_dim % 2 != 0) return fail(source + ": head size", "an even number", std::to_string(a.head_dim));
  if (std::uint64_t{a.q_heads} * a.head_dim > kMostFeatures)
    return fail(source + ": query features", fmt::format("at most {}", kMostFeatures),
                fmt::format("{} heads of {}", a.q_heads, a.head_dim));
  return {};
}

Status check_rope(const Rope& rope, std::uint32_t head_dim, const std::string& source) {
  for (const auto& [name, value] : {std::pair{"RoPE base", rope.theta}, {"RoPE scaling factor", rope.factor}})
    if (Status good = check_positive(source, name, value); !good) return good;
  if (rope.scaling == RopeScaling::llama3) {
    for (const auto& [name, value] :
         {std::pair{"low_freq_factor", rope.low_freq_factor},
          {"high_freq_factor - low_freq_factor", rope.high_freq_factor - rope.low_freq_factor},
          {"original positions", double(rope.original_positions)}})
      if (Status good = check_positive(source, name, value); !good) return good;
  }
  if (!rope.divisors.empty() && rope.divisors.size() != head_dim / 2)
    return fail(source + ": RoPE divisors", fmt::format("{}, one a pair", head_dim / 2),
                std::to_string(rope.divisors.size()));
  for (const float divisor : rope.divisors)
    if (Status good = check_positive(source, "RoPE divisor", divisor); !good) return good;
  return {};
}

}  // namespace

Status check(const Architecture& a, const std::string& source) {
  const struct {
    const char* name;
    std::uint64_t value, most;
  } sizes[] = {{"vocabulary", a.vocabulary, kMostVocabulary},
               {"hidden size", a.hidden, kMostFeatures},
               {"intermediate size", a.intermediate, kMostFeatures},
               {"query heads", a.q_heads, kMostFeatures},
               {"key heads", a.kv_heads, kMostFeatures},
               {"head size", a.head_dim, kMostHeadDim},
               {"positions", a.max_positions, kMostPositions},
               {"layers", a.layers.size(), kMostLayers}};
  for (const auto& size : sizes)
    if (Status good = check_size(source, size.name, size.value, size.most); !good) return good;
  if (Status good = check_heads(a, source); !good) return good;
  const std::pair<const char*, double> scales[] = {{"norm epsilon", a.norm_eps},
                                                   {"embedding scale", a.embedding_scale},
                                                   {"attention scale", a.attention_scale}};
  for (const auto& [name, value] : scales)
    if (Status good = check_positive(source, name, value); !good) return good;
  for (const auto& [name, value] :
       {std::pair{"attention soft cap", a.attention_soft_cap}, {"logit soft cap", a.logit_soft_cap}})
    if (!std::isfinite(value) || value < 0)
      return fail(fmt::format("{}: {}", source, name), "a number above 0, or 0 for none",
                  fmt::format("{}", value));
  for (const Rope& rope : a.ropes)
    if (Status good = check_rope(rope, a.head_dim, source); !good) return good;
  return {};
}

std::vector<double> rope_frequencies(const Rope& rope, std::uint32_t head_dim) {
  std::vector<double> frequencies(head_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / head_dim);
    if (rope.scaling == RopeScaling::linear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::llama3) {
      // Turns within the original context: few are slowed down by `factor`, many stay, between them a ramp.
      const double turns = rope.original_positions * frequency / (2 * std::numbers::pi);
      const double ramp = (turns - rope.low_freq_factor) /
                          (rope.high_freq_factor - rope.low_freq_factor);  // 0 slow, 1 as it is
      const double kept = std::fmin(std::fmax(ramp, 0.0), 1.0);
      frequency *= (1 - kept) / rope.factor + kept;
    }
    if (!rope.divisors.empty()) frequency /= rope.divisors[i];
    frequencies[i] = frequency;
  }
  return frequencies;
}

float gemma_embedding_scale(std::uint32_t hidden) {
  return from_bf16(to_bf16(static_cast<float>(std::sqrt(static_cast<double>(hidden)))));
}

}  // namespace serveloop::model
