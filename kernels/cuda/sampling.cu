// The kernel of sample(): one cluster of blocks a row.
#include <algorithm>

#include "sampling_row.cuh"

namespace serveloop::kernels::cuda {
namespace {

// Shared memory of a block: RowMemory, then the slice's logits.
constexpr int row_memory_bytes = (sizeof(RowMemory) + 127) / 128 * 128;
constexpr int most_slice = (224 * 1024 - row_memory_bytes) / 4 / 32 * 32;
static_assert(most_slice * most_blocks_a_row >= 340000);

// The row's logits as they came, cleaned.
__device__ void load_logits(const SamplingJob& job, int row, RowPart& part) {
  const std::int64_t at = row * job.logits_stride + part.first;
  if (job.logits_f32 != nullptr) {
    for (int i = threadIdx.x; i < part.size; i += sampling_threads)
      part.logits[i] = clean_logit(job.logits_f32[at + i]);
  } else {
    const bf16* logits = job.logits + at;
    const bool aligned = reinterpret_cast<std::uintptr_t>(logits) % 16 == 0;
    const int vectors = aligned ? part.size / 8 : 0;
    for (int i = threadIdx.x; i < vectors; i += sampling_threads) {
      float values[8];
      unpack(reinterpret_cast<const uint4*>(logits)[i], values);
      for (int j = 0; j < 8; j += 4) {
        *reinterpret_cast<float4*>(part.logits + i * 8 + j) = {
            clean_logit(values[j]), clean_logit(values[j + 1]), clean_logit(values[j + 2]),
            clean_logit(values[j + 3])};
      }
    }
    for (int i = vectors * 8 + threadIdx.x; i < part.size; i += sampling_threads)
      part.logits[i] = clean_logit(__bfloat162float(logits[i]));
  }
  __syncthreads();
}

// Entries name each id once, so no two threads change one logit.
__device__ void change_logits(const SamplingJob& job, const SamplingRow& row, RowPart& part) {
  if (row.mask >= 0) {
    const std::uint32_t* mask = job.mask + static_cast<std::int64_t>(row.mask) * ((job.vocabulary + 31) / 32);
    for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
      const int id = part.first + i;
      if ((mask[id / 32] >> (id % 32) & 1) == 0) part.logits[i] = -INFINITY;
    }
    __syncthreads();
  }
  for (int i = threadIdx.x; i < row.bias_count; i += sampling_threads) {
    const TokenBias bias = job.bias[row.bias_begin + i];
    const int at = bias.id - part.first;
    if (at >= 0 && at < part.size) part.logits[at] = clean_logit(part.logits[at] + bias.bias);
  }
  __syncthreads();
  if (row.history < 0 || (row.repetition == 1.0f && row.presence == 0.0f && row.frequency == 0.0f)) return;
  const TokenCount* history = job.history + static_cast<std::int64_t>(row.history) * job.history_capacity;
  const int size = min(job.history_size[row.history], job.history_capacity);
  for (int i = threadIdx.x; i < size; i += sampling_threads) {
    const TokenCount seen = history[i];
    const int at = seen.id - part.first;
    if (at < 0 || at >= part.size) continue;
    part.logits[at] =
        clean_logit(penalised_logit(part.logits[at], row.repetition, row.presence, row.frequency,
                                    static_cast<int>(seen.count & ~token_in_prompt)));
  }
  __syncthreads();
}

// The first key of the row: its largest logit, of the lowest id.
__device__ std::uint64_t first_key(RowPart& part) {
  std::uint64_t best = ~std::uint64_t{0};
  for (int i = threadIdx.x; i < part.size; i += sampling_threads) {
    const std::uint64_t key = order_key(part.logits[i], part.first + i);
    best = key < best ? key : best;
  }
  return combine<true>(part, best);
}

__device__ float logit_of(std::uint64_t key) {
  const std::uint32_t bits = ~static_cast<std::uint32_t>(key >> 32);
  return __uint_as_float(bits >> 31 != 0 ? bits & 0x7fffffffu : ~bits);
}

__device__ std::uint64_t total_weight(RowPart& part, const Candidates& candidates) {
  std::uint64_t sum = 0;
  for (int i = threadIdx.x; i < part.size; i += sampling_threads)
    sum += candidates.weight(part.logits[i], part.first + i);
  return combine<false>(part, sum);
}

// The first id at which the weight of the candidates, in ascending order of ids, exceeds `mark`.
__device__ int find_mark(RowPart& part, const Candidates& candidates, std::uint64_t mark) {
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
  exchange(part, all, [&](unsigned rank, std::uint64_t value) { before += rank < own ? value : 0; });
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

__device__ std::uint64_t share_of(float top_p, std::uint64_t weight) {
  const auto share =
      static_cast<std::uint64_t>(static_cast<double>(fmaxf(top_p, 0.0f)) * static_cast<double>(weight));
  return share > 0 ? share : 1;
}

__device__ std::uint64_t mark_of(const SamplingRow& row, int position, std::uint64_t weight) {
  return scaled_random(token_random(row.seed, row.fork, static_cast<std::uint64_t>(position)), weight);
}

// The smallest power of two, 32 or more, that holds `count`.
__device__ int sort_size(int count) { return count <= 32 ? 32 : 1 << (32 - __clz(count - 1)); }

// Cuts and draws among the listed tokens; the first block alone. all: the weight of all candidates, of which those
// listed come first. Returns the token, in every thread.
__device__ int draw_listed(const SamplingRow& row, int position, std::uint64_t all, ListedToken* list,
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
__device__ bool cuts_fit_list(const SamplingRow& row, const Candidates& candidates, RowPart& part) {
  RowMemory& memory = *part.memory;
  DigitCounts& counts = memory.counts[part.digits++ & 1];
  count_bins(part, candidates, counts);
  part.cluster.sync();
  find_digit<false>(part, counts, row.top_k > 0 ? static_cast<std::uint64_t>(row.top_k) : ~std::uint64_t{0});
  if (!memory.is_found && row.top_p < 1.0f)
    find_digit<true>(part, counts, share_of(row.top_p, memory.all_weight));
  return memory.is_found && memory.found[1] + memory.found[3] <= most_listed;
}

__device__ int draw(const SamplingJob& job, const SamplingRow& row, int position, std::uint64_t first,
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
  if (weight == 0) weight = total_weight(part, candidates);
  if (weight == 0) return static_cast<int>(first & 0xffffffffu);  // no logit is a number
  if (row.top_p < 1.0f) {
    const Selection top = select_first<true>(part, candidates, share_of(row.top_p, weight), job.vocabulary);
    candidates.last = top.last;
    weight = top.weight;
  }
  return find_mark(part, candidates, mark_of(row, position, weight));
}

// Log-probabilities of the token and of the likeliest others, of the logits as they came.
__device__ void report_logprobs(const SamplingJob& job, int index, int wanted, int token, RowPart& part) {
  RowMemory& memory = *part.memory;
  __syncthreads();
  load_logits(job, index, part);
  const std::uint64_t first = first_key(part);
  const Candidates all = {logit_of(first), token_scale(1.0f), 1, ~std::uint64_t{0}};
  wanted = min(wanted, min(sampling_max_alternatives, job.vocabulary));
  const bool lists = wanted > 0 && job.alternative != nullptr;
  std::uint64_t weight = 0;
  ListedToken* list = nullptr;
  if (lists) {
    DigitCounts& counts = memory.counts[part.digits++ & 1];
    count_bins(part, all, counts);
    part.cluster.sync();
    find_digit<false>(part, counts, static_cast<std::uint64_t>(wanted));
    weight = memory.all_weight;
    std::uint64_t last = ~std::uint64_t{0};
    int last_bin = memory.is_found ? static_cast<int>(memory.found[0]) : digit_values;
    if (memory.is_found && memory.found[1] + memory.found[3] > most_listed) {
      last = select_first<false>(part, all, static_cast<std::uint64_t>(wanted), job.vocabulary).last;
      last_bin = digit_values;
    }
    list = list_tokens(part, all, last, last_bin);
  } else {
    weight = total_weight(part, all);
  }
  const float most = logit_of(first);
  const float log_sum =
      most + static_cast<float>(log(static_cast<double>(weight)) - 27.725887222397812);  // ln 2^40
  const int at = token - part.first;
  if (threadIdx.x == 0 && at >= 0 && at < part.size && job.logprob != nullptr)
    job.logprob[index] = part.logits[at] - log_sum;
  if (!lists || part.cluster.block_rank() != 0) return;
  const int count = min(memory.listed, most_listed);
  ListedToken own =
      static_cast<int>(threadIdx.x) < count ? list[threadIdx.x] : ListedToken{~std::uint64_t{0}, 0};
  sort_tokens(own, sort_size(count), list);
  if (static_cast<int>(threadIdx.x) >= min(wanted, count)) return;
  const int place = index * sampling_max_alternatives + static_cast<int>(threadIdx.x);
  job.alternative[place] = static_cast<std::int32_t>(own.key & 0xffffffffu);
  if (job.alternative_logprob != nullptr) job.alternative_logprob[place] = logit_of(own.key) - log_sum;
}

__device__ void count_in(const SamplingJob& job, int slot, int token) {
  TokenCount* history = job.history + static_cast<std::int64_t>(slot) * job.history_capacity;
  const int size = job.history_size[slot];
  const int stored = min(size, job.history_capacity);
  bool found = false;
  for (int i = threadIdx.x; i < stored; i += sampling_threads) {
    if (history[i].id != token) continue;
    ++history[i].count;
    found = true;
  }
  if (__syncthreads_or(found) || threadIdx.x != 0) return;
  if (size < job.history_capacity) history[size] = {token, 1};
  job.history_size[slot] = min(size, job.history_capacity) + 1;
}

__global__ void __launch_bounds__(sampling_threads) sample_kernel(const SamplingJob job, int slice) {
  extern __shared__ __align__(128) char memory[];
  RowPart part;
  const int index = static_cast<int>(blockIdx.x / part.cluster.num_blocks());
  part.memory = reinterpret_cast<RowMemory*>(memory);
  part.logits = reinterpret_cast<float*>(memory + row_memory_bytes);
  part.first = static_cast<int>(part.cluster.block_rank()) * slice;
  part.size = max(0, min(slice, job.vocabulary - part.first));
  const int position = job.position[index];
  if (position < 0) return;  // the whole cluster
  const SamplingRow row = job.row[index];
  load_logits(job, index, part);
  change_logits(job, row, part);
  const std::uint64_t first = first_key(part);
  const int token =
      row.temperature > 0.0f ? draw(job, row, position, first, part) : static_cast<int>(first & 0xffffffffu);
  if (part.cluster.block_rank() == 0 && threadIdx.x == 0) job.token[index] = token;
  if (row.alternatives >= 0) report_logprobs(job, index, row.alternatives, token, part);
  part.cluster.sync();  // nobody reads another block's memory any more, nor the history
  if (part.cluster.block_rank() == 0 && row.history >= 0) count_in(job, row.history, token);
}

Status check(const SamplingJob& job) {
  if (job.rows < 0) return {"sample: rows, expected 0 or more"};
  if (job.vocabulary < 1 || job.vocabulary > 340000) return {"sample: vocabulary, expected 1 to 340,000"};
  if ((job.logits == nullptr) == (job.logits_f32 == nullptr)) return {"sample: logits, expected BF16 or F32"};
  if (job.logits_stride < job.vocabulary) return {"sample: logits_stride, expected the vocabulary or more"};
  if (job.row == nullptr || job.position == nullptr || job.token == nullptr)
    return {"sample: row, position and token, expected arrays"};
  if (job.history_capacity < 0) return {"sample: history_capacity, expected 0 or more"};
  return {};
}

}  // namespace

Status sample(const SamplingJob& job, cudaStream_t stream) {
  if (job.rows == 0 && job.vocabulary >= 1) return {};
  if (const Status status = check(job); !status.ok()) return status;
  int device = 0;
  int processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return {"sample: device", error};
  // As many blocks a row as fit beside each other, clusters leaving gaps; their number touches no bit.
  int blocks = 1;
  while (blocks < most_blocks_a_row &&
         (job.vocabulary > blocks * most_slice || job.rows * blocks * 4 <= processors))
    blocks *= 2;
  const int slice = ((job.vocabulary + blocks - 1) / blocks + 31) / 32 * 32;
  const int bytes = row_memory_bytes + slice * 4;
  error = cudaFuncSetAttribute(sample_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return {"sample: launch configuration", error};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(job.rows * blocks));
  config.blockDim = dim3(sampling_threads);
  config.dynamicSmemBytes = static_cast<std::size_t>(bytes);
  config.stream = stream;
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = static_cast<unsigned>(blocks);
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  config.attrs = &cluster;
  config.numAttrs = 1;
  error = cudaLaunchKernelEx(&config, sample_kernel, job, slice);
  return error == cudaSuccess ? launch_status("sample") : Status{"sample", error};
}

}  // namespace serveloop::kernels::cuda
