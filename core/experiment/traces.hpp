// Request traces as published: arrivals and lengths, and which prompts share a prefix where the trace says
// so.
//
//   azure     CSV: TIMESTAMP,ContextTokens,GeneratedTokens (Azure/AzurePublicDataset; Splitwise, ISCA 2024)
//   mooncake  JSON lines: timestamp (ms), input_length, output_length, hash_ids of 512-token prefix blocks
//             (kvcache-ai/Mooncake; FAST 2025)
//
// A line that cannot be read is an error that names file, line, field, what was expected and what was found.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace serveloop::experiment {

inline constexpr std::uint32_t kTraceBlockTokens = 512;  // of Mooncake's prefix blocks

struct TraceRow {
  std::uint64_t arrival_ns = 0;  // since the trace's first request
  std::uint32_t prompt_tokens = 0, output_tokens = 0;
  // Ids of its prefix blocks, the last of which may be cut short; equal ids hold equal tokens. Empty: nothing
  // is shared.
  std::vector<std::uint64_t> blocks;
  std::uint64_t line = 0;  // of its file, from 1
  bool operator==(const TraceRow&) const = default;
};

// Rows in order of arrival. `format`: "azure" or "mooncake".
Result<std::vector<TraceRow>> read_trace(const std::string& path, std::string_view format);
Result<std::vector<TraceRow>> parse_azure(std::string_view text, std::string_view source_name);
Result<std::vector<TraceRow>> parse_mooncake(std::string_view text, std::string_view source_name);

}  // namespace serveloop::experiment
