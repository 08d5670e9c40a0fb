// What one run of one arm came to, request by request, and its file: docs/AB.md says what stands in it. Plain values;
// pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "experiment/run.hpp"

namespace serveloop::experiment::ab {

enum class Outcome : std::uint8_t { completed, rejected, cancelled, deadline, failed };
inline constexpr std::size_t kOutcomes = 5;
const char* name_of(Outcome outcome);

// Did a request that has deadlines keep all of them?
enum class Kept : std::uint8_t { none, yes, no };  // none: it has none

// A sequence. Times are ns after its arrival; 0: it did not get that far.
struct SequenceResult {
  std::uint64_t request = 0;  // which: the same one in every arm and, with another seed, another
  std::uint32_t fork = 0;     // of a request of several sequences
  Outcome outcome{};
  Kept deadlines{};
  std::uint64_t arrival_ns = 0;  // the engine's clock
  std::uint64_t begun_ns = 0;    // likewise: when its session or program arrived; else its own arrival
  std::uint64_t first_token_ns = 0, last_token_ns = 0, end_ns = 0;
  std::uint64_t longest_gap_ns = 0;  // between two tokens
  std::uint32_t prompt_tokens = 0, output_tokens = 0, hit_tokens = 0, recomputed_tokens = 0, preemptions = 0;
  bool operator==(const SequenceResult&) const = default;
};
SequenceResult result_of(const SequenceEnd& end);

struct RunResult {
  std::string fingerprint, arm;
  std::uint64_t repeat = 0, seed = 0;  // repeat: from 1
  std::vector<std::string> policies;
  std::map<std::string, double>
      figures;  // of the run as a whole, by the keys of rows.hpp; those that have a value
  std::vector<std::string> incidents;
  std::vector<SequenceResult> sequences;  // by request and fork
};
// `sequences`: in any order.
RunResult result_of(const Summary& summary, std::vector<SequenceResult> sequences);

std::string to_text(const RunResult& run);
Result<RunResult> parse_run(std::string_view text, std::string_view source_name);
// Of the first line alone: does the file hold what would come out again? Empty: it is no such file.
std::string fingerprint_in(std::string_view text);

}  // namespace serveloop::experiment::ab
