// Copies and look-ups, a block a begin or a run. Launched after all before them have ended: they open and close a step.
#include <algorithm>

#include "launch.hpp"
#include "sequence_rows.hpp"

namespace serveloop::kernels::cuda {
namespace {

constexpr int threads = 128;

__global__ void __launch_bounds__(threads) edit_kernel(RowEdits edits, SequenceRows rows) {
  const int block = static_cast<int>(blockIdx.x);
  if (block < edits.begin_count) {
    const RowBegin& begin = edits.begins[block];
    std::int32_t* to = rows.tokens + begin.row * rows.token_stride;
    for (int i = threadIdx.x; i < begin.tokens; i += threads) to[i] = edits.tokens[begin.first_token + i];
    if (threadIdx.x == 0) rows.sampling[begin.row] = begin.sampling;
    return;
  }
  const int i = (block - edits.begin_count) * threads + static_cast<int>(threadIdx.x);
  if (i >= edits.change_count) return;
  const TableEdit change = edits.changes[i];
  rows.block_table[static_cast<std::int64_t>(change.row) * rows.table_stride + change.index] = change.block;
}

__device__ void prepare_sample(const StepRun& run, const SequenceRows& rows, const StepInputs& inputs) {
  const int at = run.sample;
  const int position = run.start + run.tokens;
  inputs.sample_token[at] = run.first + run.tokens - 1;
  inputs.sample_row[at] = run.row;
  inputs.sample_position[at] = run.row < 0 ? -1 : position;
  if (run.row < 0) return;
  const RowSampling& sampling = rows.sampling[run.row];
  SamplingRow how = sampling.how;
  if (position - sampling.prompt_tokens >= sampling.min_tokens) how.mask = -1;
  inputs.sampling[at] = how;
}

struct PassedRuns {
  StepRun runs[most_passed_runs];
};

__device__ void prepare_run(const StepRun& run, int decodes, int slot, const SequenceRows& rows,
                            const StepInputs& inputs) {
  const int block = static_cast<int>(blockIdx.x);
  for (int i = threadIdx.x; i < run.tokens; i += threads) {
    const int at = run.first + i;
    const int position = run.start + i;
    inputs.id[at] = run.row < 0 ? -1 : rows.tokens[run.row * rows.token_stride + position];
    inputs.position[at] = run.row < 0 ? -1 : position;
    inputs.table_row[at] = run.row < 0 ? 0 : run.row;
  }
  if (threadIdx.x != 0) return;
  if (block == 0) *inputs.slot = slot;
  if (run.sample >= 0) prepare_sample(run, rows, inputs);
  if (block < decodes) return;
  const int chunk = block - decodes;
  inputs.chunk_start[chunk] = run.first - decodes;
  inputs.chunk_start[chunk + 1] = run.first + run.tokens - decodes;  // as the next chunk says too
  inputs.chunk_position[chunk] = run.start;
  inputs.chunk_row[chunk] = run.row;
}

__global__ void __launch_bounds__(threads)
    prepare_kernel(const StepRun* runs, int decodes, int slot, SequenceRows rows, StepInputs inputs) {
  prepare_run(runs[blockIdx.x], decodes, slot, rows, inputs);
}

__global__ void __launch_bounds__(threads)
    prepare_passed_kernel(const __grid_constant__ PassedRuns passed, int decodes, int slot, SequenceRows rows,
                          StepInputs inputs) {
  prepare_run(passed.runs[blockIdx.x], decodes, slot, rows, inputs);
}

__global__ void __launch_bounds__(threads)
    feed_back_kernel(FeedBack from, StepInputs inputs, SequenceRows rows) {
  const int i = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (i >= from.samples) return;
  const int position = inputs.sample_position[i];
  if (position < 0) return;
  const int token = from.token[i];
  const int bad = from.logits[i * from.logits_stride + token] > -INFINITY ? 0 : 1;
  from.bad[i] = bad;
  if (from.host_token != nullptr) {
    const std::int64_t at = *inputs.slot * from.slot_stride + i;
    from.host_token[at] = token;
    from.host_bad[at] = bad;
  }
  if (position < rows.token_stride) rows.tokens[inputs.sample_row[i] * rows.token_stride + position] = token;
}

Launch blocks_of(int blocks, cudaStream_t stream) {
  return {dim3(static_cast<unsigned>(blocks)), dim3(threads), 0, stream, 1, false};
}

}  // namespace

Status edit_rows(const RowEdits& edits, const SequenceRows& rows, cudaStream_t stream) {
  if (edits.begin_count < 0 || edits.change_count < 0) return {"edit_rows: counts, expected 0 or more"};
  const int blocks = edits.begin_count + (edits.change_count + threads - 1) / threads;
  if (blocks == 0) return {};
  return launch("edit_rows", edit_kernel, blocks_of(blocks, stream), edits, rows);
}

Status prepare_step(const StepRuns& step, const SequenceRows& rows, const StepInputs& inputs,
                    cudaStream_t stream) {
  if (step.count < 0 || step.decodes < 0 || step.decodes > step.count)
    return {"prepare_step: decodes, expected 0 to the number of runs"};
  if (step.count == 0) return {};
  const Launch how = blocks_of(step.count, stream);
  if (step.count <= most_passed_runs) {
    PassedRuns passed;
    std::copy_n(step.runs, step.count, passed.runs);
    return launch("prepare_step", prepare_passed_kernel, how, passed, step.decodes, step.slot, rows, inputs);
  }
  if (step.staged == nullptr) return {"prepare_step: staged, expected a copy of so many runs"};
  return launch("prepare_step", prepare_kernel, how, step.staged, step.decodes, step.slot, rows, inputs);
}

Status feed_back(const FeedBack& from, const StepInputs& inputs, const SequenceRows& rows,
                 cudaStream_t stream) {
  if (from.samples < 0) return {"feed_back: samples, expected 0 or more"};
  if (from.samples == 0) return {};
  return launch("feed_back", feed_back_kernel, blocks_of((from.samples + threads - 1) / threads, stream),
                from, inputs, rows);
}

}  // namespace serveloop::kernels::cuda
