// Request traces: arrivals and lengths, and which prompts share a prefix where the trace says so. Published ones:
//
//   azure     CSV: TIMESTAMP,ContextTokens,GeneratedTokens (Azure/AzurePublicDataset; Splitwise, ISCA 2024)
//   mooncake  JSON lines: timestamp (ms), input_length, output_length, hash_ids of 512-token prefix blocks
//             (kvcache-ai/Mooncake; FAST 2025)
//
// Two more are of this program: a step log and a file to share, which is made from one. They hold labels, too:
// log_trace.hpp, workload_file.hpp.
//
// A line that cannot be read is an error that names file, line, field, what was expected and what was found.
// Thread-safe.
#pragma once

#include <serveloop/rows.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace serveloop::experiment {

inline constexpr std::uint32_t kTraceBlockTokens = 512;  // of Mooncake's prefix blocks

// `count` ids in a row: first, first + 1, ...
struct BlockRun {
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const BlockRun&) const = default;
};

struct TraceRow {
  std::uint64_t arrival_ns = 0;  // since the trace's first request
  std::uint32_t prompt_tokens = 0, output_tokens = 0;
  // Ids of its prefix blocks, the last of which may be cut short; equal ids hold equal tokens. Empty: nothing
  // is shared.
  std::vector<BlockRun> blocks;
  std::uint64_t line = 0;        // of its file, from 1; 0: it has none
  std::uint32_t labels = kNone;  // place in Trace::labels
  static constexpr std::uint32_t kNone = UINT32_MAX;
  bool operator==(const TraceRow&) const = default;
};

// What else a recorded request said. Names of clients' own choice are numbers here, from 1 on; 0: none.
struct RowLabels {
  std::uint64_t id = 0;
  std::optional<std::uint64_t> parent;  // id of the request that led to it
  std::uint64_t session = 0, program = 0, cache_salt = 0;
  std::uint32_t turn = 0, n = 1;
  std::string tenant, category;
  std::optional<std::int32_t> priority;
  std::uint64_t ttft_deadline_ns = SL_NEVER, tbt_target_ns = SL_NEVER, end_deadline_ns = SL_NEVER;
  std::uint32_t predicted_p50 = 0, predicted_p90 = 0, predicted_p99 = 0;
  std::vector<sl_hint> hints;
  std::vector<sl_retention> retention;
};

struct Trace {
  std::vector<TraceRow> rows;  // in order of arrival
  std::uint32_t block_tokens = kTraceBlockTokens;
  std::vector<RowLabels> labels;
  std::uint64_t unanswered =
      0;  // recorded requests that are left out, since how long they would be is not known
};

// `format`: "azure", "mooncake", "serveloop" or "step_log".
Result<Trace> read_trace(const std::string& path, std::string_view format);
Result<std::vector<TraceRow>> parse_azure(std::string_view text, std::string_view source_name);
Result<std::vector<TraceRow>> parse_mooncake(std::string_view text, std::string_view source_name);

// ---- What the readers share.
inline constexpr std::uint64_t kMostTraceTokens = std::uint64_t{1} << 28;  // of a prompt or an output
inline constexpr std::size_t kMostTraceBlocks = std::size_t{1} << 20;      // of a request

// Where an error is: "file:line: field".
struct TracePlace {
  std::string_view source;
  std::size_t line = 0;
  tl::unexpected<Error> bad(std::string_view field, std::string_view expected, std::string found) const;
};
// Takes the first line off, without its end.
std::string_view take_line(std::string_view& text);
// How many blocks of so many tokens a prompt has.
std::size_t prompt_blocks(std::uint32_t prompt_tokens, std::uint32_t block_tokens);
void append_block(std::vector<BlockRun>& runs, std::uint64_t id);
// In order of arrival, from the first one on.
void settle(std::vector<TraceRow>& rows);

}  // namespace serveloop::experiment
