// Any text is a trace of each format, or one line that names its place; a file of requests, written again, reads back to the same
// text. The first byte chooses the format.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "experiment/traces.hpp"
#include "experiment/workload_file.hpp"

namespace experiment = serveloop::experiment;

namespace {

void in_order(const std::vector<experiment::TraceRow>& rows) {
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (rows[i].arrival_ns < rows[i - 1].arrival_ns) std::abort();
}

void one_line(const serveloop::Error& error) {
  const std::string line = error.message();
  if (line.empty() || line.find('\n') != std::string::npos) std::abort();
}

void published(std::string_view text, bool azure) {
  const auto rows = azure ? experiment::parse_azure(text, "t") : experiment::parse_mooncake(text, "t");
  if (!rows) return one_line(rows.error());
  in_order(*rows);
}

void shared(std::string_view text) {
  const auto trace = experiment::parse_workload_file(text, "t");
  if (!trace) return one_line(trace.error());
  in_order(trace->rows);
  const std::string once = experiment::workload_file(*trace);
  const auto again = experiment::parse_workload_file(once, "t");
  if (!again || experiment::workload_file(*again) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 2)
    shared(text);
  else
    published(text, data[0] % 3 == 0);
  return 0;
}
