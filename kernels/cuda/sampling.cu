// The kernel of sample(): one cluster of blocks a row.
#include <algorithm>

#include "hopper.cuh"
#include "launch.hpp"
#include "sampling_draw.cuh"

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

// As first_key() of logits that nothing changes, without a copy of them: what most greedy rows ask for.
__device__ std::uint64_t first_key_as_they_came(const SamplingJob& job, int row, RowPart& part) {
  const bf16* logits = job.logits + row * job.logits_stride + part.first;
  std::uint64_t best = ~std::uint64_t{0};
  constexpr int at_once = 4;
  for (int i = threadIdx.x; i < part.size / 8; i += at_once * sampling_threads) {
    uint4 vectors[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      const int at = i + j * sampling_threads;
      vectors[j] = at < part.size / 8 ? __ldcs(reinterpret_cast<const uint4*>(logits) + at) : uint4{};
    }
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      const int at = (i + j * sampling_threads) * 8;
      if (at >= part.size) break;
      float values[8];
      unpack(vectors[j], values);
      float most = clean_logit(values[0]);
      int id = 0;
#pragma unroll
      for (int k = 1; k < 8; ++k) {
        const float value = clean_logit(values[k]);
        if (value > most) most = value, id = k;
      }
      const std::uint64_t key = order_key(most, part.first + at + id);
      best = key < best ? key : best;
    }
  }
  return combine<true>(part, best);
}

// The same of F32.
__device__ std::uint64_t first_key_as_they_came_f32(const SamplingJob& job, int row, RowPart& part) {
  const float* logits = job.logits_f32 + row * job.logits_stride + part.first;
  std::uint64_t best = ~std::uint64_t{0};
  constexpr int at_once = 8;
  for (int i = threadIdx.x; i < part.size / 4; i += at_once * sampling_threads) {
    float4 vectors[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      const int at = i + j * sampling_threads;
      vectors[j] = at < part.size / 4 ? __ldcs(reinterpret_cast<const float4*>(logits) + at) : float4{};
    }
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      const int at = (i + j * sampling_threads) * 4;
      if (at >= part.size) break;
      const float values[4] = {vectors[j].x, vectors[j].y, vectors[j].z, vectors[j].w};
      float most = clean_logit(values[0]);
      int id = 0;
#pragma unroll
      for (int k = 1; k < 4; ++k) {
        const float value = clean_logit(values[k]);
        if (value > most) most = value, id = k;
      }
      const std::uint64_t key = order_key(most, part.first + at + id);
      best = key < best ? key : best;
    }
  }
  return combine<true>(part, best);
}

// Whether the row's logits stay as they came, and are looked at once.
__device__ bool is_plain(const SamplingJob& job, const SamplingRow& row, const RowPart& part, int index) {
  const bool penalised = row.repetition != 1.0f || row.presence != 0.0f || row.frequency != 0.0f;
  return row.temperature <= 0.0f && row.alternatives < 0 && row.mask < 0 && row.bias_count == 0 &&
         (row.history < 0 || !penalised) && job.vocabulary % 8 == 0 &&
         (job.logits != nullptr
              ? reinterpret_cast<std::uintptr_t>(job.logits + index * job.logits_stride) % 16 == 0
              : reinterpret_cast<std::uintptr_t>(job.logits_f32 + index * job.logits_stride) % 16 == 0);
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
  let_successor_start();
  wait_for_predecessor();
  RowPart part;
  const int index = static_cast<int>(blockIdx.x / part.cluster.num_blocks());
  part.memory = reinterpret_cast<RowMemory*>(memory);
  part.logits = reinterpret_cast<float*>(memory + row_memory_bytes);
  part.first = static_cast<int>(part.cluster.block_rank()) * slice;
  part.size = max(0, min(slice, job.vocabulary - part.first));
  const SamplingRow row = job.row[index];
  const int position = job.position[index];
  if (position < 0) return;  // the whole cluster
  std::uint64_t first;
  if (is_plain(job, row, part, index)) {
    first = job.logits != nullptr ? first_key_as_they_came(job, index, part)
                                  : first_key_as_they_came_f32(job, index, part);
  } else {
    load_logits(job, index, part);
    change_logits(job, row, part);
    first = first_key(part);
  }
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
  return launch("sample", sample_kernel,
                {dim3(static_cast<unsigned>(job.rows * blocks)), dim3(sampling_threads),
                 static_cast<std::size_t>(bytes), stream, blocks},
                job, slice);
}

}  // namespace serveloop::kernels::cuda
