// Steps of sample() over a row that its blocks hold: the largest logit, the cuts and the draw.
#pragma once

#include "sampling_row.cuh"

namespace serveloop::kernels::cuda {

// The first key of the row: its largest logit, of the lowest id.
__device__ inline std::uint64_t first_key(RowPart& part) {
  std::uint64_t best = ~std::uint64_t{0};
  for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
    const std::uint64_t key = order_key(part.logits[i], part.first + i);
    best = key < best ? key : best;
  }
  return combine<true>(part, best);
}

__device__ inline float logit_of(std::uint64_t key) {
  const std::uint32_t bits = ~static_cast<std::uint32_t>(key >> 32);
  return __uint_as_float(bits >> 31 != 0 ? bits & 0x7fffffffu : ~bits);
}

__device__ inline std::uint64_t total_weight(RowPart& part, const Candidates& candidates) {
  std::uint64_t sum = 0;
  for (int i = threadIdx.x; i < part.size; i += sampling_threads)
    sum += candidates.weight(part.logits[i], part.first + i);
  return combine<false>(part, sum);
}

// The first id at which the weight of the candidates, in ascending order of ids, exceeds mark(their whole weight);
// -1 where they weigh nothing.
template <class Mark>
__device__ int find_mark(RowPart& part, const Candidates& candidates, Mark mark_of_all) {
  RowMemory& memory = *part.memory;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int rows = (part.size + sampling_threads - 1) / sampling_threads;  // of 32 ids, a warp
  const int begin = warp * rows * 32;
  const auto weight_at = [&](int i) {
    return i < part.size ? candidates.weight(part.logits[i], part.first + i) : std::uint64_t{0};
  };
  std::uint64_t sum = 0;
  for (int i = 0; i < rows; ++i) sum += weight_at(begin + i * 32 + lane);
  sum = warp_sum_u64(sum);
  __syncthreads();
  if (lane == 0) memory.warp_value[warp] = sum;
  __syncthreads();
  std::uint64_t before = 0, all = 0;
  for (int i = 0; i < sampling_warps; ++i) {
    if (i < warp) before += memory.warp_value[i];
    all += memory.warp_value[i];
  }
  const unsigned own = part.cluster.block_rank();
  std::uint64_t row_weight = 0;
  exchange(part, all, [&](unsigned rank, std::uint64_t value) {
    before += rank < own ? value : 0;
    row_weight += value;
  });
  if (row_weight == 0) return -1;
  const std::uint64_t mark = mark_of_all(row_weight);
  std::uint64_t found = ~std::uint64_t{0};
  if (before <= mark && mark < before + sum) {
    for (int i = 0; i < rows; ++i) {
      std::uint64_t here = weight_at(begin + i * 32 + lane);
      for (int step = 1; step < 32; step *= 2) {
        const std::uint64_t below = __shfl_up_sync(0xffffffffu, here, step);
        if (lane >= step) here += below;
      }
      const unsigned past = __ballot_sync(0xffffffffu, before + here > mark);
      if (past != 0) {
        found = part.first + begin + i * 32 + __ffs(past) - 1;
        break;
      }
      before += __shfl_sync(0xffffffffu, here, 31);
    }
  }
  return static_cast<int>(combine<true>(part, found));
}

__device__ inline std::uint64_t share_of(float top_p, std::uint64_t weight) {
  const auto share =
      static_cast<std::uint64_t>(static_cast<double>(fmaxf(top_p, 0.0f)) * static_cast<double>(weight));
  return share > 0 ? share : 1;
}

__device__ inline std::uint64_t mark_of(const SamplingRow& row, int position, std::uint64_t weight) {
  return scaled_random(token_random(row.seed, row.fork, static_cast<std::uint64_t>(position)), weight);
}

// The smallest power of two, 32 or more, that holds `count`.
__device__ inline int sort_size(int count) { return count <= 32 ? 32 : 1 << (32 - __clz(count - 1)); }

// Cuts and draws among the listed tokens; the first block alone. all: the weight of all candidates, of which those
// listed come first. Returns the token, in every thread.
__device__ inline int draw_listed(const SamplingRow& row, int position, std::uint64_t all, ListedToken* list,
                                  RowMemory& memory) {
  const int count = min(memory.listed, most_listed);
  const int size = sort_size(count);
  const int index = threadIdx.x;
  ListedToken own = index < count ? list[index] : ListedToken{~std::uint64_t{0}, 0};
  sort_tokens(own, size, list);
  const std::uint64_t before = sum_before(own.weight, memory.warp_value);
  if (row.top_k > 0 && index >= row.top_k) own.weight = 0;
  __syncthreads();
  if (threadIdx.x == 0) memory.all_weight = all;
  __syncthreads();
  if (row.top_k > 0 && index == row.top_k - 1 && index < count) memory.all_weight = before + own.weight;
  __syncthreads();
  if (row.top_p < 1.0f && before >= share_of(row.top_p, memory.all_weight)) own.weight = 0;
  own.key &= 0xffffffffu;
  if (own.weight == 0) own.key = ~std::uint64_t{0};
  sort_tokens(own, size, list);
  const std::uint64_t below = sum_before(own.weight, memory.warp_value);
  if (threadIdx.x == sampling_threads - 1) memory.all_weight = below + own.weight;
  __syncthreads();
  const std::uint64_t mark = mark_of(row, position, memory.all_weight);
  if (below <= mark && mark < below + own.weight) memory.found[0] = own.key;
  __syncthreads();
  return static_cast<int>(memory.found[0]);
}

// Whether at most most_listed tokens, in the bins up to memory.found[0], hold what the cuts can leave.
__device__ inline bool cuts_fit_list(const SamplingRow& row, const Candidates& candidates, RowPart& part) {
  RowMemory& memory = *part.memory;
  DigitCounts& counts = memory.counts[part.digits++ & 1];
  count_bins(part, candidates, counts);
  part.cluster.sync();
  find_digit<false>(part, counts, row.top_k > 0 ? static_cast<std::uint64_t>(row.top_k) : ~std::uint64_t{0});
  if (!memory.is_found && row.top_p < 1.0f)
    find_digit<true>(part, counts, share_of(row.top_p, memory.all_weight));
  return memory.is_found && memory.found[1] + memory.found[3] <= most_listed;
}

__device__ inline int draw(const SamplingJob& job, const SamplingRow& row, int position, std::uint64_t first,
                           RowPart& part) {
  Candidates candidates = {logit_of(first), token_scale(row.temperature), 1, ~std::uint64_t{0}};
  if (row.min_p > 0.0f) {
    const auto least =
        static_cast<std::uint64_t>(fminf(row.min_p, 1.0f) * static_cast<float>(token_weight_one));
    candidates.least = least > 0 ? least : 1;
  }
  const bool cut_k = row.top_k > 0 && row.top_k < job.vocabulary;
  std::uint64_t weight = 0;
  if (cut_k || row.top_p < 1.0f) {
    if (cuts_fit_list(row, candidates, part)) {
      const std::uint64_t all = part.memory->all_weight;
      const int last_bin = static_cast<int>(part.memory->found[0]);
      ListedToken* list = list_tokens(part, candidates, candidates.last, last_bin);
      std::uint64_t token = 0;
      if (part.cluster.block_rank() == 0) token = draw_listed(row, position, all, list, *part.memory);
      exchange(part, token, [&](unsigned rank, std::uint64_t value) { token = rank == 0 ? value : token; });
      return static_cast<int>(token);
    }
    if (cut_k) {
      const Selection top =
          select_first<false>(part, candidates, static_cast<std::uint64_t>(row.top_k), job.vocabulary);
      candidates.last = top.last;
      weight = top.weight;
    }
  }
  if (row.top_p < 1.0f) {
    if (weight == 0) weight = total_weight(part, candidates);
    if (weight != 0)
      candidates.last =
          select_first<true>(part, candidates, share_of(row.top_p, weight), job.vocabulary).last;
  }
  const int token =
      find_mark(part, candidates, [&](std::uint64_t all) { return mark_of(row, position, all); });
  return token >= 0 ? token : static_cast<int>(first & 0xffffffffu);  // no logit is a number
}

}  // namespace serveloop::kernels::cuda
