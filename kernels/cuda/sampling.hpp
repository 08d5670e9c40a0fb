// The next token of each row, from its logits: greedy or drawn, with penalties, biases, masks, cuts of the
// distribution, and log-probabilities. One launch for all rows; a row depends on its own logits, parameters and
// history alone, and its draw on (seed, fork, position) alone, bit for bit, wherever in the batch it stands.
//
// In this order, as servers commonly have it:
//   1. logits that are no number count as minus infinity; the mask; the biases; the penalties;
//   2. temperature 0: the largest logit, of the lowest id where several are equal; else integer weights
//      (token_weight.hpp) of the logits divided by the temperature;
//   3. min-p: tokens of at least min_p times the largest weight;
//   4. top-k: of those the first k by descending logit, then ascending id;
//   5. top-p: of those the shortest beginning that holds at least the share top_p of their weight;
//   6. the draw: the token at floor(random W / 2^64) of the weight W of those, in ascending order of ids.
// Log-probabilities are of the logits as they came, at temperature 1.
//
// Sources: top-k (Fan et al., 2018), top-p (Holtzman et al., 2019), min-p (Nguyen et al., 2024). The cuts are found
// by radix selection with exact sums, so nothing is sorted. Thread safety: stateless.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "status.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int sampling_max_alternatives = 20;

// One row's request. Plain data, in device memory.
struct SamplingRow {
  std::uint64_t seed = 0;
  std::uint32_t fork = 0;
  float temperature = 1.0f;  // 0: greedy
  float top_p = 1.0f;        // 1 or more: no cut
  float min_p = 0.0f;        // 0: no cut
  int top_k = 0;             // 0: no cut
  float repetition = 1.0f;   // more than 0
  float presence = 0.0f;
  float frequency = 0.0f;
  int history = -1;                    // row of the histories, or -1: none
  int mask = -1;                       // row of the masks, or -1: all tokens allowed
  int bias_begin = 0, bias_count = 0;  // of the biases
  int alternatives = -1;               // -1: no log-probabilities; else how many beside the token's
};

struct TokenBias {
  std::int32_t id;  // once at most in a row's biases
  float bias;
};

// A token of a sequence.
struct TokenCount {
  std::int32_t id;
  std::uint32_t count;  // how often it was generated, plus token_in_prompt where the prompt has it
};
inline constexpr std::uint32_t token_in_prompt = 1u << 31;

struct SamplingJob {
  // [rows, vocabulary] with logits_stride elements from row to row. One of the two.
  const __nv_bfloat16* logits = nullptr;
  const float* logits_f32 = nullptr;
  std::int64_t logits_stride = 0;
  int rows = 0;
  int vocabulary = 0;  // 1 to 340,000

  const SamplingRow* row = nullptr;  // [rows]
  const std::int32_t* position =
      nullptr;  // [rows], of the token to come; -1: an unused row, which is left alone
  const TokenBias* bias = nullptr;
  const std::uint32_t* mask =
      nullptr;  // [masks, ceil(vocabulary / 32)], bit id % 32 of word id / 32: allowed

  // [histories, history_capacity] distinct tokens and how many there are. The token that comes out is counted in;
  // one that finds the history full is not, and the size then says one more than the capacity.
  TokenCount* history = nullptr;
  std::int32_t* history_size = nullptr;
  int history_capacity = 0;

  std::int32_t* token = nullptr;         // [rows]
  float* logprob = nullptr;              // [rows] or null
  std::int32_t* alternative = nullptr;   // [rows, sampling_max_alternatives], most likely first, or null
  float* alternative_logprob = nullptr;  // same
};

Status sample(const SamplingJob& job, cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
