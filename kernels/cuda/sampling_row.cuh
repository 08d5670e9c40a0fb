// Building blocks of sample(): a row over a cluster of blocks, each with a slice of the vocabulary in shared memory,
// and the selection of the first tokens in order. All sums are of integers: no order changes them.
#pragma once

#include <cooperative_groups.h>

#include "device.cuh"
#include "kernels/token_weight.hpp"
#include "sampling.hpp"

namespace serveloop::kernels::cuda {

inline constexpr int sampling_threads = 1024;
inline constexpr int sampling_warps = sampling_threads / 32;
inline constexpr int digit_values = 2048;
inline constexpr int most_blocks_a_row = 8;

struct DigitCounts {
  std::uint32_t tokens[digit_values];
  std::uint32_t low[digit_values], high[digit_values];  // of the weight
};

// What select_first() found: tokens whose key is at most `last`.
struct Selection {
  std::uint64_t last;
  std::uint64_t weight;
};

struct RowMemory {
  DigitCounts counts[2];
  std::uint64_t exchanged[2];
  std::uint64_t warp_value[sampling_warps];
  std::uint32_t warp_count[sampling_warps];
  std::uint64_t found[5];  // digit, tokens and weight before it, tokens and weight in it
  std::uint64_t all_weight;
  int is_found;
  int listed;
};

// A token that the first block of a cluster looks at alone.
struct ListedToken {
  std::uint64_t key, weight;
};
inline constexpr int most_listed = sampling_threads;
static_assert(sizeof(ListedToken) * most_listed <= sizeof(DigitCounts));

// A block's part of a row.
struct RowPart {
  cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
  RowMemory* memory;
  float* logits;  // [size]
  int first;      // id of logits[0]
  int size;
  int exchanges = 0;
  int digits = 0;
};

// Ascending keys: descending logits, then ascending ids.
__device__ __forceinline__ std::uint64_t order_key(float logit, int id) {
  return static_cast<std::uint64_t>(~ordered_bits(logit)) << 32 | static_cast<std::uint32_t>(id);
}

__device__ __forceinline__ std::uint64_t warp_sum_u64(std::uint64_t value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

__device__ __forceinline__ std::uint64_t warp_min_u64(std::uint64_t value) {
  for (int step = 16; step > 0; step /= 2) {
    const std::uint64_t other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other < value ? other : value;
  }
  return value;
}

// Every block of the cluster gives one value; calls `take` with each, in order of ranks, in every thread.
template <class Take>
__device__ void exchange(RowPart& part, std::uint64_t value, Take take) {
  std::uint64_t* slot = &part.memory->exchanged[part.exchanges++ & 1];
  if (threadIdx.x == 0) *slot = value;
  part.cluster.sync();
  for (unsigned rank = 0; rank < part.cluster.num_blocks(); ++rank)
    take(rank, *part.cluster.map_shared_rank(slot, rank));
}

// Sum or minimum over the whole row, in every thread.
template <bool minimum>
__device__ std::uint64_t combine(RowPart& part, std::uint64_t value) {
  const auto reduce = [](std::uint64_t x) { return minimum ? warp_min_u64(x) : warp_sum_u64(x); };
  value = reduce(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) part.memory->warp_value[threadIdx.x / 32] = value;
  __syncthreads();
  value = reduce(part.memory->warp_value[threadIdx.x % 32]);
  std::uint64_t result = minimum ? ~std::uint64_t{0} : 0;
  exchange(part, value, [&](unsigned, std::uint64_t other) {
    result = minimum ? (other < result ? other : result) : result + other;
  });
  return result;
}

// Which tokens take part, and what each weighs.
struct Candidates {
  float most, scale;
  std::uint64_t least;  // weight
  std::uint64_t last;   // key

  __device__ __forceinline__ std::uint64_t weight(float logit, int id) const {
    if (order_key(logit, id) > last) return 0;
    const std::uint64_t weight = token_weight(logit, most, scale);
    return weight >= least ? weight : 0;
  }
};

__device__ __forceinline__ void count_token(DigitCounts& counts, int digit, std::uint64_t weight) {
  atomicAdd(&counts.tokens[digit], 1u);
  const std::uint32_t low = static_cast<std::uint32_t>(weight);
  const std::uint32_t before = atomicAdd(&counts.low[digit], low);
  const std::uint32_t high = static_cast<std::uint32_t>(weight >> 32) + (before + low < before ? 1 : 0);
  if (high != 0) atomicAdd(&counts.high[digit], high);
}

__device__ inline void clear_counts(DigitCounts& counts) {
  for (int i = threadIdx.x; i < digit_values; i += sampling_threads)
    counts.tokens[i] = counts.low[i] = counts.high[i] = 0;
  __syncthreads();
}

// Which of digit_values bins, in the order of the keys, a logit of some weight lies in: equal steps of the logit, so
// that likely and unlikely tokens spread over many.
__device__ __forceinline__ int bin_of(float logit, const Candidates& candidates) {
  return static_cast<int>(fmaf(candidates.most - logit, candidates.scale, 0.0f) * 50.0f);
}

__device__ inline void count_bins(RowPart& part, const Candidates& candidates, DigitCounts& counts) {
  clear_counts(counts);
  for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
    const std::uint64_t weight = candidates.weight(part.logits[i], part.first + i);
    if (weight != 0) count_token(counts, bin_of(part.logits[i], candidates), weight);
  }
}

// Counts the candidates that begin with `prefix` by their next digit.
__device__ inline void count_digits(RowPart& part, const Candidates& candidates, std::uint64_t prefix,
                                    int shift, int bits, DigitCounts& counts) {
  clear_counts(counts);
  for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
    const float logit = part.logits[i];
    const std::uint64_t key = order_key(logit, part.first + i);
    if (shift + bits < 64 && key >> (shift + bits) != prefix) continue;
    const std::uint64_t weight = candidates.weight(logit, part.first + i);
    if (weight == 0) continue;
    const int digit = static_cast<int>(key >> shift & ((1u << bits) - 1));
    count_token(counts, digit, weight);
  }
}

// The digit at which `limit` (tokens or weight) is reached, into memory.found; memory.is_found says whether it is.
template <bool by_weight>
__device__ void find_digit(RowPart& part, DigitCounts& counts, std::uint64_t limit) {
  RowMemory& memory = *part.memory;
  std::uint32_t tokens[2] = {};
  std::uint64_t weight[2] = {};
  const int digit = threadIdx.x * 2;
  for (unsigned rank = 0; rank < part.cluster.num_blocks(); ++rank) {
    const DigitCounts& theirs = *part.cluster.map_shared_rank(&counts, rank);
    for (int i = 0; i < 2; ++i) {
      tokens[i] += theirs.tokens[digit + i];
      weight[i] += static_cast<std::uint64_t>(theirs.high[digit + i]) << 32;
      weight[i] += theirs.low[digit + i];
    }
  }
  // Tokens and weight of the digits before this thread's.
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  std::uint32_t token_sum = tokens[0] + tokens[1];
  std::uint64_t weight_sum = weight[0] + weight[1];
  for (int step = 1; step < 32; step *= 2) {
    const std::uint32_t token_below = __shfl_up_sync(0xffffffffu, token_sum, step);
    const std::uint64_t weight_below = __shfl_up_sync(0xffffffffu, weight_sum, step);
    if (lane >= step) token_sum += token_below, weight_sum += weight_below;
  }
  __syncthreads();
  if (threadIdx.x == 0) memory.is_found = 0;
  if (lane == 31) memory.warp_count[warp] = token_sum, memory.warp_value[warp] = weight_sum;
  __syncthreads();
  std::uint64_t tokens_before = token_sum - tokens[0] - tokens[1];
  std::uint64_t weight_before = weight_sum - weight[0] - weight[1];
  for (int i = 0; i < warp; ++i) tokens_before += memory.warp_count[i], weight_before += memory.warp_value[i];
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t before = by_weight ? weight_before : tokens_before;
    const std::uint64_t here = by_weight ? weight[i] : tokens[i];
    if (before < limit && limit <= before + here) {
      memory.is_found = 1;
      memory.found[0] = digit + i;
      memory.found[1] = tokens_before;
      memory.found[2] = weight_before;
      memory.found[3] = tokens[i];
      memory.found[4] = weight[i];
    }
    tokens_before += tokens[i];
    weight_before += weight[i];
  }
  if (threadIdx.x == sampling_threads - 1) memory.all_weight = weight_before;
  __syncthreads();
}

// The shortest beginning, in order of keys, of the candidates that reaches `limit` tokens or weight; all of them,
// with weight 0 given back, where they don't reach it.
template <bool by_weight>
__device__ Selection select_first(RowPart& part, const Candidates& candidates, std::uint64_t limit,
                                  int vocabulary) {
  const int id_bits = 32 - __clz(vocabulary);
  std::uint64_t prefix = 0, tokens_before = 0, weight_before = 0;
  int shift = 64;
  while (true) {
    // Digits of the logit, then of the id, whose upper bits are all 0.
    int bits;
    if (shift > 32) {
      bits = shift == 64 ? 11 : shift == 53 ? 11 : 10;
    } else {
      if (shift == 32) prefix <<= 32 - id_bits, shift = id_bits;
      bits = min(shift, 10);
    }
    shift -= bits;
    DigitCounts& counts = part.memory->counts[part.digits++ & 1];
    count_digits(part, candidates, prefix, shift, bits, counts);
    part.cluster.sync();
    find_digit<by_weight>(part, counts, limit - (by_weight ? weight_before : tokens_before));
    const RowMemory& memory = *part.memory;
    if (!memory.is_found) return {candidates.last, 0};
    prefix = prefix << bits | memory.found[0];
    tokens_before += memory.found[1];
    weight_before += memory.found[2];
    const std::uint64_t tokens = memory.found[3];
    const std::uint64_t weight = memory.found[4];
    const bool whole = !by_weight && tokens_before + tokens == limit;
    __syncthreads();
    if (whole || tokens == 1 || shift == 0)
      return {
          min(candidates.last, shift == 0 ? prefix : (prefix << shift) + ((std::uint64_t{1} << shift) - 1)),
          weight_before + weight};
  }
}

// Lists the candidates up to key `last` and bin `last_bin` in the first block, in no order: at most most_listed, as
// the caller knows. The counts that were used last stay; the list lies in the other ones.
__device__ inline ListedToken* list_tokens(RowPart& part, const Candidates& candidates, std::uint64_t last,
                                           int last_bin) {
  RowMemory& memory = *part.memory;
  auto* own = reinterpret_cast<ListedToken*>(&memory.counts[part.digits++ & 1]);
  if (threadIdx.x == 0) memory.listed = 0;
  part.cluster.sync();
  ListedToken* list = part.cluster.map_shared_rank(own, 0);
  int* listed = part.cluster.map_shared_rank(&memory.listed, 0);
  for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
    const float logit = part.logits[i];
    const std::uint64_t key = order_key(logit, part.first + i);
    const std::uint64_t weight = key <= last ? candidates.weight(logit, part.first + i) : 0;
    if (weight == 0 || bin_of(logit, candidates) > last_bin) continue;
    const int slot = atomicAdd(listed, 1);
    if (slot < most_listed) list[slot] = {key, weight};
  }
  part.cluster.sync();
  return own;
}

// Sorts one token a thread by ascending keys (Batcher's bitonic network, 1968); `size`: a power of two, 32 or more,
// that holds all of them.
__device__ inline void sort_tokens(ListedToken& own, int size, ListedToken* scratch) {
  const int index = threadIdx.x;
  for (int run = 2; run <= size; run *= 2) {
    for (int stride = run / 2; stride > 0; stride /= 2) {
      ListedToken other;
      if (stride >= 32) {
        __syncthreads();
        scratch[index] = own;
        __syncthreads();
        other = scratch[index ^ stride];
      } else {
        other.key = __shfl_xor_sync(0xffffffffu, own.key, stride);
        other.weight = __shfl_xor_sync(0xffffffffu, own.weight, stride);
      }
      const bool wants_less = ((index & stride) == 0) == ((index & run) == 0);
      if (wants_less ? other.key < own.key : other.key > own.key) own = other;
    }
  }
}

// Sum of the values of the threads before this one.
__device__ inline std::uint64_t sum_before(std::uint64_t value, std::uint64_t* warp_sums) {
  const int lane = threadIdx.x % 32;
  std::uint64_t sum = value;
  for (int step = 1; step < 32; step *= 2) {
    const std::uint64_t below = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += below;
  }
  __syncthreads();
  if (lane == 31) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  for (int i = 0; i < static_cast<int>(threadIdx.x / 32); ++i) sum += warp_sums[i];
  return sum - value;
}

}  // namespace serveloop::kernels::cuda
