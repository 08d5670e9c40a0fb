// A batch's rows in the order in which a pass takes them: decodes, then chunks, each in plan order. Thread safety: plain
// values.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "execute/cuda/pass.hpp"
#include "execute/executor.hpp"

namespace serveloop::execute::cuda {

struct StepLayout {
  std::vector<kernels::cuda::StepRun> runs;  // decodes, then chunks
  std::vector<std::int32_t> sample;          // one a batch row: its place among the samples, or -1
  PassSize size;
  int decode_runs = 0;     // of somebody
  std::uint64_t keys = 0;  // that decodes attend to
  std::size_t place = 0;   // of the runs in the step's staging, where they are too many to go with a launch

  // Decodes beyond most_items groups of keys go as chunks, which gives equal bits. A chunk of one token is never taken
  // for a decode: keys before it may be written in the same step, and decodes read theirs early.
  void make(std::span<const BatchRow> rows, std::uint32_t most_items) {
    runs.clear();
    sample.assign(rows.size(), -1);
    decodes_.assign(rows.size(), false);
    size = {};
    keys = 0;
    std::uint64_t items = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].decode || rows[i].tokens != 1) continue;
      const int own = kernels::cuda::attention_items(static_cast<int>(rows[i].start), 0);
      if (items + static_cast<std::uint64_t>(own) > most_items) continue;
      items += static_cast<std::uint64_t>(own);
      decodes_[i] = true;
      add(rows[i], i);
      ++size.decodes;
      keys += rows[i].start + 1;
    }
    decode_runs = size.decodes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (decodes_[i]) continue;
      add(rows[i], i);
      ++size.chunks;
      size.chunk_tokens += static_cast<int>(rows[i].tokens);
      size.chunk_keys = std::max(size.chunk_keys, static_cast<int>(rows[i].start + rows[i].tokens));
    }
  }

  // A step of decodes that all sample, and nothing else.
  bool is_plain() const { return size.decodes > 0 && size.chunks == 0 && size.samples == size.decodes; }
  // Fills a plain step up with runs of nobody.
  void pad(int decodes) {
    for (; size.decodes < decodes; ++size.decodes) runs.push_back({-1, 0, 1, size.decodes, size.samples++});
  }

 private:
  void add(const BatchRow& row, std::size_t index) {
    if (row.samples) sample[index] = size.samples++;
    runs.push_back({static_cast<std::int32_t>(row.row), static_cast<std::int32_t>(row.start),
                    static_cast<std::int32_t>(row.tokens), size.tokens(), sample[index]});
  }
  std::vector<bool> decodes_;  // one a batch row
};

}  // namespace serveloop::execute::cuda
