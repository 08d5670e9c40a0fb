// A file of requests to share, made from a step log (docs/WORKLOADS.md#the-file): JSON lines, the first of which is
//
//   {"serveloop_workload": 1, "block_tokens": 16}
//
// and every other a request. What a request does not say is left out. Thread-safe: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "experiment/traces.hpp"

namespace serveloop::experiment {

inline constexpr int kWorkloadFileVersion = 1;

std::string workload_file(const Trace& trace);
// The reverse. Nothing in it is trusted: unknown keys, numbers out of bounds and blocks that do not make up their prompt are
// errors that name line and field.
Result<Trace> parse_workload_file(std::string_view text, std::string_view source_name);

}  // namespace serveloop::experiment
