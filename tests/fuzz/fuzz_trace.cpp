// Any text is a trace of either format, or one line that names its place. The first byte chooses the format.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "experiment/traces.hpp"

namespace experiment = serveloop::experiment;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto rows =
      data[0] % 2 == 0 ? experiment::parse_azure(text, "t") : experiment::parse_mooncake(text, "t");
  if (!rows) {
    const std::string line = rows.error().message();
    if (line.empty() || line.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  for (std::size_t i = 1; i < rows->size(); ++i)
    if ((*rows)[i].arrival_ns < (*rows)[i - 1].arrival_ns) std::abort();
  return 0;
}
