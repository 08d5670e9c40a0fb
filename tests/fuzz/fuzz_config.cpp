// Any text is a configuration, or one line that says why not; what was read is written and read again as
// itself.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.hpp"

namespace config = serveloop::config;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = config::parse({reinterpret_cast<const char*>(data), size}, "x.toml", "/folder");
  if (!read) {
    if (read.error().message().empty() || read.error().message().find('\n') != std::string::npos)
      std::abort();
    return 0;
  }
  const auto again = config::parse(config::to_toml(*read), "y.toml", "/folder");
  if (!again || !(*again == *read)) std::abort();
  return 0;
}
