// The device's side of rows: their tokens, block tables and sampling, and the inputs that each step makes of them. Places
// stay for the executor's life. Thread safety: one stream at a time.
#pragma once

#include "execute/cuda/device.hpp"
#include "kernels/cuda/sequence_rows.hpp"

namespace serveloop::execute::cuda {

class RowMemory {
 public:
  // most_tokens, of a step. Zeros at first.
  static Result<RowMemory> create(std::uint32_t rows, std::uint32_t context_tokens,
                                  std::uint32_t block_tokens, std::uint32_t most_tokens) {
    RowMemory out;
    const std::size_t n = rows, entries = (std::size_t{context_tokens} + block_tokens - 1) / block_tokens;
    const std::size_t sizes[] = {
        n * context_tokens, n * entries, most_tokens, most_tokens, most_tokens, n + 1, n, n, n, n, n, 1};
    std::size_t words = 0;
    for (const std::size_t size : sizes) words += size;
    for (const Status& good :
         {out.words_.make(words, "rows of sequences"), out.sampling_.make(n, "rows of sequences"),
          out.how_.make(n, "rows of sequences")})
      if (!good) return tl::unexpected(good.error());
    for (const auto& [data, bytes] : {std::pair<void*, std::size_t>{out.words_.get(), out.words_.bytes()},
                                      {out.sampling_.get(), out.sampling_.bytes()},
                                      {out.how_.get(), out.how_.bytes()}})
      if (Status good = check(cudaMemset(data, 0, bytes), "rows of sequences"); !good)
        return tl::unexpected(good.error());
    std::int32_t* at[std::size(sizes)];
    std::size_t offset = 0;
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      at[i] = out.words_.get() + offset;
      offset += sizes[i];
    }
    out.rows_ = {at[0], static_cast<std::int64_t>(context_tokens), at[1], static_cast<int>(entries),
                 out.sampling_.get()};
    out.inputs_ = {at[2], at[3], at[4], at[5], at[6], at[7], out.how_.get(), at[8], at[9], at[10], at[11]};
    return out;
  }

  const kernels::cuda::SequenceRows& rows() const { return rows_; }
  const kernels::cuda::StepInputs& inputs() const { return inputs_; }

 private:
  DeviceMemory<std::int32_t> words_;
  DeviceMemory<kernels::cuda::RowSampling> sampling_;
  DeviceMemory<kernels::cuda::SamplingRow> how_;
  kernels::cuda::SequenceRows rows_;
  kernels::cuda::StepInputs inputs_;
};

}  // namespace serveloop::execute::cuda
