// A request as its client states it: what intake checks and turns into sequences.
#pragma once

#include <serveloop/rows.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/sampling.hpp"

namespace serveloop::requests {

using Token = std::uint32_t;

// `tokens` seeded tokens: token i is seeded_token(seed, i). A prompt of pieces that share a seed shares a
// prefix.
struct PromptPiece {
  std::uint64_t seed = 0;
  std::uint32_t tokens = 0;
  bool operator==(const PromptPiece&) const = default;
};

inline constexpr std::uint32_t kSeededVocabulary = 32003;

// Token i of a seeded stream: SplitMix64 of (seed, i), reduced to ids 3 .. 32,002, or to those below `vocabulary`
// where that is smaller (0: it is not; at least 4).
inline Token seeded_token(std::uint64_t seed, std::uint64_t i, std::uint32_t vocabulary = 0) {
  const std::uint64_t ids =
      (vocabulary == 0 || vocabulary > kSeededVocabulary ? kSeededVocabulary : vocabulary) - 3;
  std::uint64_t x = seed + 0x9e3779b97f4a7c15u * (i + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return 3 + static_cast<Token>((x >> 32) * ids >> 32);
}

struct RequestSpec {
  std::uint64_t arrival_ns = 0;             // engine's clock
  std::vector<Token> prompt;                // literal tokens, or
  std::vector<PromptPiece> pieces;          // seeded ones; one of the two
  std::optional<std::uint32_t> max_tokens;  // unset: as many as the pool and the context hold
  std::uint32_t n = 1;                      // sequences
  Sampling sampling;
  std::string key, tenant, category;  // for the priority rules; tenant also salts the prefix cache
  std::string session, program, cache_salt;
  std::uint64_t parent = 0;
  std::uint32_t turn = 0;
  std::optional<std::int32_t> priority;       // wins over the rules
  std::uint64_t ttft_deadline_ns = SL_NEVER;  // relative to arrival, as are the next two
  std::uint64_t tbt_target_ns = SL_NEVER;
  std::uint64_t end_deadline_ns = SL_NEVER;
  std::uint32_t predicted_p50 = 0, predicted_p90 = 0, predicted_p99 = 0;
  std::vector<sl_hint> hints;
  std::vector<sl_retention> retention;

  std::uint32_t prompt_tokens() const {
    if (pieces.empty()) return static_cast<std::uint32_t>(prompt.size());
    std::uint64_t sum = 0;
    for (const PromptPiece& piece : pieces) sum += piece.tokens;
    return static_cast<std::uint32_t>(sum < UINT32_MAX ? sum : UINT32_MAX);
  }
};

}  // namespace serveloop::requests
