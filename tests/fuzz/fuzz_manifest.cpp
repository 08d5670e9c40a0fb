// Any text is a plugin's manifest, or one line that says why not.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/manifest.hpp"

namespace policy = serveloop::policy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read =
      policy::parse_manifest({reinterpret_cast<const char*>(data), size}, "/folder/plugin.toml");
  if (!read && (read.error().message().empty() || read.error().message().find('\n') != std::string::npos))
    std::abort();
  return 0;
}
