// Rows where sequences live on the device (tokens, block table, how they sample), and the inputs of a step made from
// them: so a token that a step samples is an input of the next without the host.
//
// A step:  edit_rows()      sequences begin, block tables change
//          prepare_step()   ids, positions and table rows of its tokens; how and where it samples
//          ...              the pass and sample()
//          feed_back()      sampled tokens go to their rows, and to the host
// None is launched early. Thread safety: stateless; a set of rows serves one stream at a time.
#pragma once

#include <cstdint>

#include "sampling.hpp"

namespace serveloop::kernels::cuda {

struct RowSampling {
  SamplingRow
      how;  // mask: of the tokens allowed before min_tokens, or -1: prepare_step() drops it after them
  std::int32_t prompt_tokens = 0;
  std::int32_t min_tokens = 0;
};

struct SequenceRows {                   // device pointers
  std::int32_t* tokens = nullptr;       // [rows, token_stride]: known at positions 0 on
  std::int64_t token_stride = 0;        // positions a row
  std::int32_t* block_table = nullptr;  // [rows, table_stride]
  int table_stride = 0;
  RowSampling* sampling = nullptr;  // [rows]
};

// A sequence begins to live in a row: tokens first_token to first_token + tokens - 1 of the edits' tokens.
struct RowBegin {
  std::int32_t row, first_token, tokens;
  RowSampling sampling;
};

struct TableEdit {
  std::int32_t row, index, block;
};

struct RowEdits {  // device pointers; one edit an entry at most
  const RowBegin* begins = nullptr;
  int begin_count = 0;
  const TableEdit* changes = nullptr;
  int change_count = 0;
  const std::int32_t* tokens = nullptr;
};

Status edit_rows(const RowEdits& edits, const SequenceRows& rows, cudaStream_t stream);

// A run of a row's tokens in the step. Runs of one token that decode come first, then chunks, without gaps.
struct StepRun {
  std::int32_t row;            // -1: nobody, one token: its inputs say unused
  std::int32_t start, tokens;  // positions start to start + tokens - 1
  std::int32_t first;          // of its tokens in the step
  std::int32_t sample;         // its place among those that sample, or -1
};

struct StepInputs {                                                       // device pointers
  std::int32_t *id = nullptr, *position = nullptr, *table_row = nullptr;  // [tokens]

  // Of the chunks, as AttentionChunks has them; first rows count from the first chunk's.
  std::int32_t *chunk_start = nullptr, *chunk_position = nullptr, *chunk_row = nullptr;

  // Of those that sample: [samples]
  SamplingRow* sampling = nullptr;
  std::int32_t* sample_position = nullptr;  // of the token to come
  std::int32_t* sample_token = nullptr;     // of the step's tokens, the one whose logits it takes
  std::int32_t* sample_row = nullptr;

  std::int32_t* slot = nullptr;  // [1], where feed_back() puts what the host wants
};

// Of a step. So few that they go with the launch need no copy on the device.
inline constexpr int most_passed_runs = 128;
struct StepRuns {
  const StepRun* runs = nullptr;  // in host memory
  int count = 0;
  int decodes = 0;                  // how many of them decode
  const StepRun* staged = nullptr;  // their copy on the device, where there are more than most_passed_runs
  int slot = 0;
};

Status prepare_step(const StepRuns& step, const SequenceRows& rows, const StepInputs& inputs,
                    cudaStream_t stream);

struct FeedBack {
  const std::int32_t* token = nullptr;  // [samples]
  const float* logits = nullptr;        // [samples, logits_stride]
  std::int64_t logits_stride = 0;
  std::int32_t* bad = nullptr;  // [samples] out: 1 where the token's logit is no number above minus infinity
  int samples = 0;
  // Host memory that the device can write: [slots, slot_stride], token and bad again, at inputs.slot. Or null.
  std::int32_t *host_token = nullptr, *host_bad = nullptr;
  std::int64_t slot_stride = 0;
};

// Each token to its row and position; what a row has no room for is dropped. Unused samples are left alone.
Status feed_back(const FeedBack& from, const StepInputs& inputs, const SequenceRows& rows,
                 cudaStream_t stream);

}  // namespace serveloop::kernels::cuda
