// How a request's tokens are chosen: what a client states, requests carry and executors follow. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.hpp"

namespace serveloop {

inline constexpr std::uint32_t kMaxAlternatives = 20;  // beside the token's own log-probability
inline constexpr std::size_t kMaxBiases = 1024;
inline constexpr std::size_t kMaxStopIds = 1024;    // that a client may state
inline constexpr std::size_t kMaxModelEndIds = 64;  // of a model's own, beside them

struct TokenBias {
  std::uint32_t token = 0;
  float bias = 0;  // added to its logit
  bool operator==(const TokenBias&) const = default;
};

// In this order: logits that are no number count as minus infinity; stop ids below min_tokens; biases; penalties;
// temperature; min-p, top-k, top-p, each of what the one before left; the draw. Log-probabilities are of the logits as
// they came. A token depends on these, the logits and the sequence's own tokens alone (law 1).
struct Sampling {
  std::uint64_t seed = 0;               // a draw depends on (seed, fork, position) alone
  float temperature = 0;                // 0: the largest logit, of equal ones the lowest id
  float top_p = 1;                      // (0, 1]; 1: no cut (Holtzman et al., 2019)
  float min_p = 0;                      // [0, 1]; 0: no cut (Nguyen et al., 2024)
  std::uint32_t top_k = 0;              // 0: no cut (Fan et al., 2018)
  float repetition = 1;                 // above 0; of tokens in prompt and output (Keskar et al., 2019)
  float presence = 0, frequency = 0;    // of tokens in the output
  std::uint32_t min_tokens = 0;         // stop ids are not chosen before so many
  std::vector<std::uint32_t> stop_ids;  // each ends its sequence, as its last token
  std::vector<TokenBias> bias;          // a token once at most
  // Log-probabilities are asked for, with so many alternatives a token.
  std::optional<std::uint32_t> alternatives;
  bool operator==(const Sampling&) const = default;
};

// Names what is out of range as clients name it: "top_p".
Status check_sampling(const Sampling& sampling);

struct TokenLogprob {
  std::uint32_t token = 0;
  float logprob = 0;  // natural logarithm
};

}  // namespace serveloop
