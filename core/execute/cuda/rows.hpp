// What the host knows of the rows that live on the device: enough to check a batch before anything of it is enqueued,
// since a wrong id would be a wild read there. The engine's batches are right; they are checked all the same.
//
// Tokens that a step samples are counted here and known there. Thread safety: one thread.
#pragma once

#include <span>
#include <vector>

#include "base/result.hpp"
#include "execute/executor.hpp"
#include "kernels/cuda/sequence_rows.hpp"

namespace serveloop::execute::cuda {

struct RowLimits {
  std::uint32_t rows, blocks, block_tokens, context_tokens, vocabulary, token_budget;
};

class Rows {
 public:
  explicit Rows(const RowLimits& limits) : limits_(limits), rows_(limits.rows) {}

  // Sequences begin and tables change. The entries that changed, each once, as they are now; an entry without a block
  // is not sent. Valid until the next call.
  Result<std::span<const kernels::cuda::TableEdit>> edit(std::span<const Begin> begins,
                                                         std::span<const TableChange> changes);
  Status check(std::span<const BatchRow> rows) const;
  // The rows that sample know one token more, also where their step failed.
  void count(std::span<const BatchRow> rows);

 private:
  static constexpr std::int32_t kNoBlock = -1;
  struct Row {
    std::uint32_t known = 0, prompt_tokens = 0;
    std::uint32_t good = 0;   // ids before this position are the vocabulary's
    std::uint32_t holes = 0;  // entries of the table without a block
    std::vector<std::int32_t> table;
  };
  Status begin(const Begin& begin);
  Status change(const TableChange& change);
  Status check_row(std::uint32_t row) const;
  Status check(const BatchRow& at) const;

  RowLimits limits_;
  std::vector<Row> rows_;
  std::vector<kernels::cuda::TableEdit> edits_;
};

}  // namespace serveloop::execute::cuda
