// Where choices of products stay from one run to the next.
#pragma once

#include <cstdlib>
#include <string>

namespace serveloop::rig {

// Below XDG_CACHE_HOME, else below the home folder; empty: nowhere.
inline std::string products_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return std::string(cache) + "/serveloop";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/.cache/serveloop";
  return {};
}

}  // namespace serveloop::rig
