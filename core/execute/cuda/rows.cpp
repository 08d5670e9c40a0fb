#include "execute/cuda/rows.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace serveloop::execute::cuda {

Result<std::span<const kernels::cuda::TableEdit>> Rows::edit(std::span<const Begin> begins,
                                                             std::span<const TableChange> changes) {
  edits_.clear();
  for (const Begin& b : begins)
    if (Status good = begin(b); !good) return tl::unexpected(good.error());
  for (const TableChange& c : changes)
    if (Status good = change(c); !good) return tl::unexpected(good.error());
  // The device takes edits in any order: an entry that changed twice is sent as it ended.
  for (const TableChange& c : changes) {
    const std::int32_t block = rows_[c.row].table[c.index];
    if (block != kNoBlock)
      edits_.push_back({static_cast<std::int32_t>(c.row), static_cast<std::int32_t>(c.index), block});
  }
  return edits_;
}

Status Rows::begin(const Begin& begin) {
  if (Status good = check_row(begin.row); !good) return good;
  const std::size_t known = begin.prompt.size() + begin.generated.size();
  if (known > limits_.context_tokens)
    return fail(fmt::format("tokens of row {}", begin.row),
                fmt::format("at most {}, the context", limits_.context_tokens), std::to_string(known));
  Row& row = rows_[begin.row];
  row.known = static_cast<std::uint32_t>(known);
  row.prompt_tokens = begin.prompt_tokens;
  row.good = UINT32_MAX;
  std::uint32_t position = 0;
  for (const auto& part : {begin.prompt, begin.generated})
    for (const std::uint32_t id : part) {
      if (id >= limits_.vocabulary) row.good = std::min(row.good, position);
      ++position;
    }
  row.table.clear();
  row.holes = 0;
  return {};
}

Status Rows::change(const TableChange& change) {
  if (Status good = check_row(change.row); !good) return good;
  const std::uint32_t entries =
      std::min(limits_.blocks, (limits_.context_tokens + limits_.block_tokens - 1) / limits_.block_tokens);
  if (change.index >= entries)
    return fail(fmt::format("block table of row {}", change.row),
                fmt::format("entries below {}, one a block of the context", entries),
                std::to_string(change.index));
  Row& row = rows_[change.row];
  if (change.index >= row.table.size()) {
    row.holes += change.index + 1 - static_cast<std::uint32_t>(row.table.size());
    row.table.resize(change.index + 1, kNoBlock);
  }
  std::int32_t& entry = row.table[change.index];
  row.holes -= entry == kNoBlock ? 1 : 0;
  entry = change.block < limits_.blocks ? static_cast<std::int32_t>(change.block) : kNoBlock;
  row.holes += entry == kNoBlock ? 1 : 0;
  return {};
}

Status Rows::check_row(std::uint32_t row) const {
  if (row < rows_.size()) return {};
  return fail("row", fmt::format("below {}", rows_.size()), std::to_string(row));
}

Status Rows::check(std::span<const BatchRow> rows) const {
  std::uint64_t tokens = 0;
  for (const BatchRow& at : rows) {
    if (Status good = check_row(at.row); !good) return good;
    if (Status good = check(at); !good) return good;
    tokens += at.tokens;
  }
  if (tokens <= limits_.token_budget && rows.size() <= limits_.rows) return {};
  return fail("batch", fmt::format("at most {} tokens of {} sequences", limits_.token_budget, limits_.rows),
              fmt::format("{} of {}", tokens, rows.size()));
}

Status Rows::check(const BatchRow& at) const {
  const std::uint64_t end = std::uint64_t{at.start} + at.tokens;
  const auto bad = [&](std::string expected, std::string found) {
    return fail(fmt::format("row {}, tokens {} .. {}", at.row, at.start, end), std::move(expected),
                std::move(found));
  };
  const Row& row = rows_[at.row];
  if (at.tokens == 0 || end > row.known || end > limits_.context_tokens)
    return bad(fmt::format("known tokens, at least one, within the context of {}", limits_.context_tokens),
               fmt::format("{} known", row.known));
  if (at.samples && (end < row.prompt_tokens || end != row.known))
    return bad("a sample behind the prompt and all known tokens",
               fmt::format("a prompt of {}, {} known", row.prompt_tokens, row.known));
  if (end > row.good)
    return bad(fmt::format("ids below {}", limits_.vocabulary), fmt::format("another at {}", row.good));
  if (row.holes > 0 || row.table.size() * std::uint64_t{limits_.block_tokens} < end)
    return bad("blocks for all positions", fmt::format("{} blocks, {} missing", row.table.size(), row.holes));
  return {};
}

void Rows::count(std::span<const BatchRow> rows) {
  for (const BatchRow& at : rows)
    if (at.samples && at.row < rows_.size()) ++rows_[at.row].known;
}

}  // namespace serveloop::execute::cuda
